"""Where a fuzzer runs by itself: a folder in memory, and a daemon with a home of its own."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import fake_embedder
from conftest import Home

Plan = TypeVar("Plan")


class Failed(AssertionError):
    """A round after which something is wrong."""


@contextmanager
def scratch() -> Iterator[Path]:
    """In memory where there is any to be had: nowhere else do events come so fast."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="imgq-fuzz-", dir=memory) as folder:
        yield Path(folder)


@contextmanager
def running(*, start: bool = True) -> Iterator[Home]:
    """With the fake embedder, watching nothing yet."""
    # Whoever ends a fuzzer ends its daemon, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="imgq-home-") as folder:
        environment = fake_embedder.environment(Path(folder) / "embedded")
        home = Home(Path(folder), environment)
        # What asks without a command line.
        os.environ["IMGQ_HOME"] = home.environment["IMGQ_HOME"]
        try:
            if start:
                home.start()
            yield home
        finally:
            home.stop()


def keep(home: Home, operations: list[str]) -> Path:
    """Where the operations of a round that failed and the daemon's words are kept."""
    kept = Path(tempfile.mkdtemp(prefix="imgq-failed-"))
    (kept / "operations").write_text("\n".join(operations), errors="backslashreplace")
    (kept / "log").write_text(home.log)
    return kept


def main(
    doc: str | None,
    plan: Callable[..., Plan],
    run: Callable[[Plan, Path, Home], Iterator[str]],
    **sizes: int,
) -> int:
    """Goes through the rounds that the command line asks for; sizes: what else a plan has, with its usual
    value. The exit code."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    for name, usual in {"seed": 1, "rounds": 10, **sizes}.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"{usual}")
    asked = parser.parse_args()
    with running() as home, scratch() as folder:
        try:
            for line in run(plan(**vars(asked)), folder, home):
                print(line, flush=True)
        except Failed as error:
            print(f"seed {asked.seed}, {error}")
            return 1
    return 0
