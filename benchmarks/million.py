"""When a daemon with a million known files answers after its start, and when it is settled.

    python -m benchmarks.million --pictures 1000000 --folder build/bench/library --out build/bench

The library is made, or gone on with, by `benchmarks.made_library`; then a real daemon starts over it, with
the builtin model, and each question is asked from its start on by a client of its own until it is answered.
With --cold, as root on Linux, the system's caches are emptied before each start. Writes million.json and a
table, million.md, into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import made_library
from benchmarks.a_daemon import PATIENCE_S
from benchmarks.machine import machine
from imgq import client, wire
from imgq.errors import Failure
from imgq.paths import places

# Between two attempts to reach a daemon that is not there yet.
AGAIN_S = 0.005
# Between two looks whether it is settled: who asks goes before who indexes.
CALM_S = 0.25
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process to the answer to each question; look: how long another look at
    everything takes. memory_mb: of the daemon, once settled; cpu_s: of the daemon until then."""

    status: float
    info: float
    files: float
    known_picture: float
    text: float
    settled: float
    look: float
    memory_mb: float
    cpu_s: float


@contextmanager
def daemon() -> Iterator[psutil.Process]:
    """It runs; its first answer is still to be waited for."""
    words = [sys.executable, "-m", "imgqd", "--model", "builtin"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def questions(root: Path, pictures: int) -> dict[str, Callable[[], object]]:
    """Each raises a Failure, or is False, while it is not answered."""
    known = made_library.path_of(root, pictures // 2)
    picture = wire.Search(terms=(wire.Term(picture=known.read_bytes(), name=known.name),))
    text = wire.Search(terms=(wire.Term(text="a red car"),))
    return {
        "status": lambda: client.ask(wire.AskStatus(), PATIENCE_S),
        "info": lambda: _state(os.fsencode(known)) == "indexed",
        "files": lambda: _first(wire.AskFiles()),
        "known_picture": lambda: _first(picture),
        "text": lambda: _first(text),
        "settled": _is_settled,
    }


def _first(request: wire.Request) -> object:
    replies = client.stream(request, PATIENCE_S)
    try:
        return next(replies)
    finally:
        replies.close()  # type: ignore[attr-defined]


def _state(path: bytes) -> str:
    known = client.ask(wire.AskInfo(path=path), PATIENCE_S)
    assert isinstance(known, wire.Info)
    return known.state


def _is_settled() -> bool:
    status = client.ask(wire.AskStatus(), PATIENCE_S)
    assert isinstance(status, wire.Status)
    return status.settled


def started(folder: Path, pictures: int, *, cold: bool = False) -> Start:
    root = made_library.at(folder)
    asked = questions(root, pictures)
    if cold:
        os.sync()
        DROP_CACHES.write_text("3")
    took: dict[str, float] = {}
    began = time.monotonic()
    with daemon() as process:
        clients = [
            threading.Thread(target=_until, args=(name, question, began, took))
            for name, question in asked.items()
        ]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        times = process.cpu_times()
        began = time.monotonic()
        client.settle(PATIENCE_S)
        took["look"] = time.monotonic() - began
        memory = process.memory_info().rss / 1e6
    return Start(**took, memory_mb=memory, cpu_s=times.user + times.system)


def _until(name: str, question: Callable[[], object], began: float, took: dict[str, float]) -> None:
    while time.monotonic() < began + PATIENCE_S:
        with suppress(Failure):
            if question():
                break
            # It answers: nobody asks it without a pause.
            time.sleep(CALM_S)
        time.sleep(AGAIN_S)
    took[name] = time.monotonic() - began


COLUMNS = {
    "status": "status, s",
    "info": "`info`, s",
    "files": "`files`, s",
    "known_picture": "by a known picture, s",
    "text": "by a text, s",
    "settled": "settled, s",
    "look": "another look, s",
    "memory_mb": "memory, MB",
    "cpu_s": "cores, s",
}


def table(starts: dict[str, list[Start]]) -> str:
    lines = [f"| caches | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, runs in starts.items():
        values = [_shown([getattr(run, field) for run in runs]) for field in COLUMNS]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def _shown(values: list[float]) -> str:
    """The median, and the longest."""
    middle, most = float(np.median(values)), max(values)
    if middle >= 100:
        return f"{middle:,.0f}"
    return f"{middle:.2f}" + f" ({most:.2f})" * (len(values) > 1)


def disk_mb() -> float:
    files = (each for each in Path(places().store).parent.rglob("*") if each.is_file())
    return sum(each.stat().st_size for each in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="for the library; it stays")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="also with empty caches, as root")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    told = parser.parse_args()
    if made_library.grow(told.folder, told.pictures) is not None:
        made_library.write_cache(told.folder)
    starts: dict[str, list[Start]] = {}
    for cold in (False, True) if told.cold else (False,):
        runs = [started(told.folder, told.pictures, cold=cold) for _ in range(told.rounds)]
        starts["empty" if cold else "warm"] = runs
        print(table(starts), flush=True)
    told.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "pictures": told.pictures, "disk_mb": disk_mb()}
    report["starts"] = {name: [asdict(run) for run in runs] for name, runs in starts.items()}
    (told.out / "million.json").write_text(json.dumps(report, indent=1))
    (told.out / "million.md").write_text(table(starts))


if __name__ == "__main__":
    main()
