"""What one client notices of what others do to the socket, and how long one takes to give up.

    python -m benchmarks.hostile [NAME…] [--seconds 4] [--crowd]

A real daemon with the fake embedder, 200 pictures, and 280 copies of one whose paths are so long that a
listing has a megabyte. Each disturbance has a process of its own; meanwhile this one asks the same search,
over a new connection each time, as `imgq` does.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "faults"), str(TESTS / "hostile")]

import megabytes
from strangers import READY, address, memory, raw, soon

import ground
from conftest import Home
from imgq import wire
from imgq.zmtp import Dealer
from imgqd.serve.zmtp import framed
from pictures import jpeg
from served import GREETING

SEARCH = framed(wire.pack_request(wire.Search(terms=(wire.Term(text="red"),)), 1))
LISTING = framed(wire.pack_request(wire.AskFiles(), 1))
# FAULT 68: of 50 clients that ask without a pause, each while 49 others wait.
MOST_CROWDED_MS = 1000
Disturbance = Callable[[str, ExitStack], Callable[[], None]]


# ── what others do: each is given the socket, begins, and gives what it goes on with ──────────────────


def idle(path: str, held: ExitStack) -> Callable[[], None]:
    return lambda: time.sleep(0.1)


def garbage(path: str, held: ExitStack) -> Callable[[], None]:
    """2,000 connections that speak no ZMTP, 300 that end amid their greeting, a browser, a giant; they are
    opened as fast as that goes, and held."""
    dice = random.Random(1)
    said = [dice.randbytes(dice.randint(1, 300)) for _ in range(2000)]
    said += [GREETING[: dice.randint(0, 63)] for _ in range(300)]
    said += [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    said += [GREETING + READY + b"\x02" + (20 << 30).to_bytes(8, "big")]
    left = iter(said)

    def again() -> None:
        if (data := next(left, None)) is None:
            time.sleep(0.1)
        else:
            held.enter_context(raw(path, data))

    return again


def flood(path: str, held: ExitStack) -> Callable[[], None]:
    """5,000 searches at once on one connection, and again when all are answered."""
    dealer = Dealer(path, soon())
    held.callback(dealer.close)

    def again() -> None:
        sending = threading.Thread(target=dealer._socket.sendall, args=(SEARCH * 5000,))
        sending.start()
        answered = 0
        while answered < 5000:
            _, more, _ = wire.unpack_reply(dealer.receive(soon(), wire.MOST_REPLY))
            answered += not more
        sending.join()

    return again


def unread(path: str, held: ExitStack) -> Callable[[], None]:
    """600 listings of a megabyte each are asked for, and none is read."""
    dealer = Dealer(path, soon())
    held.callback(dealer.close)
    dealer._socket.settimeout(1.0)
    with suppress(TimeoutError):
        dealer._socket.sendall(LISTING * 600)
    return lambda: time.sleep(0.1)


def crowding(path: str, held: ExitStack) -> Callable[[], None]:
    """16 threads search over ever new connections, each as fast as it is answered."""

    def search() -> None:
        while True:
            with closing(Dealer(path, soon())) as dealer:
                dealer._socket.sendall(SEARCH)
                dealer.receive(soon(), wire.MOST_REPLY)

    for _ in range(16):
        threading.Thread(target=search, daemon=True).start()
    return lambda: time.sleep(0.1)


def hanging_up(path: str, held: ExitStack) -> Callable[[], None]:
    """Connections without end, as fast as they are let in; every other asks for something, the rest say
    what is no greeting, and each is gone at once."""
    says = itertools.cycle((GREETING + READY + SEARCH, b"GET / HTTP/1.1\r\n\r\n"))

    def again() -> None:
        with closing(socket.socket(socket.AF_UNIX)) as connection, suppress(OSError):
            connection.settimeout(1.0)
            connection.connect(path)
            connection.sendall(next(says))

    return again


DISTURBANCES: dict[str, Disturbance] = {
    each.__name__: each for each in (idle, garbage, flood, crowding, hanging_up, unread)
}


def disturb(name: str, path: str) -> None:
    with ExitStack() as held:
        again = DISTURBANCES[name](path, held)
        print("begun", flush=True)
        while True:
            again()


# ── what is measured ────────────────────────────────────────────────────────────────────────────────


@contextmanager
def disturbed(name: str, path: str) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.hostile", "--disturb", name, "--socket", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            yield
        finally:
            other.kill()


def searches(home: Home, seconds: float) -> list[float]:
    """Milliseconds of each, in their order of size."""
    times, until = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < until or len(times) < 100:
        home.search("red", top=10)
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)


def library(home: Home) -> None:
    for number in range(200):
        jpeg(home.pictures / f"{number}.jpg", number, (64, 48))
    megabytes.fill(home)


def crowd(home: Home) -> str:
    """50 clients ask 200 times each while 3,000 new pictures are indexed."""
    for number in range(3000):
        jpeg(home.pictures / "new" / f"{number}.jpg", 1000 + number, (64, 48))
    times: list[float] = []
    failures: list[Exception] = []

    def ask() -> None:
        for _ in range(200):
            began = time.perf_counter()
            try:
                home.search("red", top=10)
            except Exception as error:
                failures.append(error)
            times.append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    indexed = home.status().index
    p95 = sorted(times)[int(0.95 * len(times))]
    return (
        f"{len(failures)} errors in {len(times)} searches, p95 {p95:.0f} ms, bound {MOST_CROWDED_MS} ms"
        f" {'kept' if p95 < MOST_CROWDED_MS and not failures else 'BROKEN'};"
        f" {indexed.pending} of {indexed.files + indexed.pending} files still pending at their end"
    )


def giving_up(home: Home) -> None:
    """How much longer than its timeout a client takes, and one that finds nobody at all."""

    def took(*words: str) -> str:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            done = home.imgq("red", *words)
            times.append(time.perf_counter() - began)
        return f"{1000 * max(times):.0f} ms, exit code {done.returncode}"

    assert home.daemon is not None
    home.daemon.send_signal(signal.SIGSTOP)
    try:
        still = took("--timeout", "0.5")
    finally:
        home.daemon.send_signal(signal.SIGCONT)
    print(f"a daemon that stands still, --timeout 0.5: at most {still}")
    home.stop()
    print(f"no daemon: at most {took()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DISTURBANCES))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--crowd", action="store_true", help="50 clients beside indexing, too")
    parser.add_argument("--disturb", choices=DISTURBANCES, help=argparse.SUPPRESS)
    parser.add_argument("--socket", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.disturb:
        disturb(asked.disturb, asked.socket)
    with ground.running() as home:
        os.environ["IMGQ_HOME"] = home.environment["IMGQ_HOME"]
        library(home)
        searches(home, 1.0)
        before = memory(home)
        for name in ("idle", *(asked.names or list(DISTURBANCES)[1:]), "idle"):
            with disturbed(name, address(home)):
                times = searches(home, asked.seconds)
                grown = (memory(home) - before) / 1e6
            p50, p95 = statistics.median(times), times[int(0.95 * len(times))]
            print(
                f"{name:10} p50 {p50:5.1f} ms, p95 {p95:5.1f} ms of {len(times)} searches;"
                f" the daemon's memory {grown:+.0f} MB",
                flush=True,
            )
        if asked.crowd:
            print(crowd(home), flush=True)
        giving_up(home)
    shutil.rmtree(home.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
