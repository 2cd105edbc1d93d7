"""What the sandbox costs: pictures a second in decoders, and with the same code in place, by turns.

    python -m benchmarks.decoding [FOLDER] [--small] [--rounds 20] [--lanes 4] [--alone]

FOLDER has pictures; without one, 200 JPEGs of 12 megapixels and less are made, or with --small 400 of
500 x 375 pixels. Reading, hashing and decoding to 256 x 256 pixels are counted, as they are for a new file.

As many decoders work at a time as there are cores, each with a thread that hands it file after file, or
several small ones at a time, as the daemon does; by turns with as many processes that have no barriers and
are handed no files. With --alone it is one of each, picture by picture: what a single picture waits longer.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from PIL import Image

from imgqd.embedder.reading import SMALL_BYTES
from imgqd.pictures.decode import decode
from imgqd.pictures.handle import MOST_TOGETHER, Decoder
from imgqd.pictures.limits import Limits
from imgqd.pictures.look import look
from imgqd.pictures.messages import Undecoded, Unseen
from imgqd.pictures.opening import prepare
from imgqd.pictures.reader import DescriptorReader
from imgqd.records import PixelSpec

SPEC = PixelSpec(256, 256)
SIZES = ((640, 480), (1600, 1200), (4000, 3000))
SMALL = ((500, 375),)


def in_place(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        look(file.fileno(), b"a.jpg", Limits())
        decode(io.BufferedReader(DescriptorReader(file.fileno()), 1 << 16), SPEC, Limits())


def in_a_decoder(decoder: Decoder, paths: Sequence[Path]) -> None:
    with ExitStack() as files:
        opened = [files.enter_context(path.open("rb", buffering=0)).fileno() for path in paths]
        decoder.look([Unseen(descriptor, b"a.jpg") for descriptor in opened])
        decoder.decode([Undecoded(descriptor, slot) for slot, descriptor in enumerate(opened)])


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Small files go together, as in the daemon."""
    found: list[list[Path]] = []
    is_open = False
    for path in paths:
        is_small = path.stat().st_size <= SMALL_BYTES
        if is_small and is_open and len(found[-1]) < MOST_TOGETHER:
            found[-1].append(path)
        else:
            found.append([path])
        is_open = is_small
    return found


def make(folder: Path, count: int, sizes: Sequence[tuple[int, int]]) -> None:
    dice = random.Random(1)
    for number in range(count):
        noise = Image.frombytes("RGB", (40, 30), dice.randbytes(3600))
        image = noise.resize(sizes[number % len(sizes)], Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.jpg", quality=90)


# ── one picture after the other ──────────────────────────────────────────────────────────────────────


def alone(paths: Sequence[Path], rounds: int) -> None:
    """Picture by picture, here and there, so that whatever else the machine does meets both."""
    decoder = Decoder(SPEC, MOST_TOGETHER)
    # As nice as a decoder is.
    os.nice(10)
    shares = []
    for number in range(rounds):
        there = here = 0.0
        for path in paths:
            there += seconds(partial(in_a_decoder, decoder, [path]))
            here += seconds(partial(in_place, path))
        shares.append(here / there)
        tell(number, len(paths) / there, len(paths) / here)
    decoder.close()
    print(f"{statistics.median(shares):.3f} of the rate in place (median)")


# ── all cores ────────────────────────────────────────────────────────────────────────────────────────


class Lane(threading.Thread):
    """Hands its share of the pictures to a decoder, round after round."""

    def __init__(self, paths: Sequence[Path], rounds: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self._groups = groups(paths)
        self._rounds = rounds
        self.decoder: Decoder | None = None

    def run(self) -> None:
        self.decoder = Decoder(SPEC, MOST_TOGETHER)
        while True:
            self._rounds.wait()
            for group in self._groups:
                in_a_decoder(self.decoder, group)
            self._rounds.wait()


def in_place_lane(paths: Sequence[Path], orders: Connection) -> None:
    """The same in a process of its own, as nice as a decoder."""
    prepare()
    os.nice(10)
    with suppress(EOFError):
        while orders.recv():
            for path in paths:
                in_place(path)
            orders.send("done")


@dataclass(frozen=True, slots=True)
class Side:
    """work: one round; processes: all that take part in it."""

    work: Callable[[], None]
    processes: Sequence[psutil.Process]

    def took(self) -> tuple[float, float]:
        """Seconds by the clock, and of the cores."""
        began, before = time.perf_counter(), self._spent()
        self.work()
        return time.perf_counter() - began, self._spent() - before

    def _spent(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)


def in_decoders(parts: Sequence[Sequence[Path]]) -> Side:
    barrier = threading.Barrier(len(parts) + 1)
    lanes = [Lane(part, barrier) for part in parts]
    for lane in lanes:
        lane.start()

    def work() -> None:
        barrier.wait()
        barrier.wait()

    work()
    pids = [lane.decoder.pid for lane in lanes if lane.decoder]
    return Side(work, [psutil.Process(), *map(psutil.Process, pids)])


def in_processes(parts: Sequence[Sequence[Path]]) -> Side:
    spawned = multiprocessing.get_context("spawn")
    orders, processes = [], []
    for part in parts:
        ours, theirs = spawned.Pipe()
        process = spawned.Process(target=in_place_lane, args=(part, theirs), daemon=True)
        process.start()
        orders.append(ours)
        processes.append(psutil.Process(process.pid))

    def work() -> None:
        for each in orders:
            each.send("go")
        for each in orders:
            each.recv()

    work()
    return Side(work, processes)


def together(paths: Sequence[Path], rounds: int, lanes: int) -> None:
    parts = [paths[number::lanes] for number in range(lanes)]
    there, here = in_decoders(parts), in_processes(parts)
    rates, costs = [], []
    for number in range(rounds):
        # Who begins changes, so that a machine that grows slower meets both.
        order = (there, here) if number % 2 else (here, there)
        took = {side.work: side.took() for side in order}
        (clock, core), (clock_here, core_here) = took[there.work], took[here.work]
        rates.append(clock_here / clock)
        costs.append(core / core_here)
        tell(number, len(paths) / clock, len(paths) / clock_here)
    print(
        f"{statistics.median(rates):.3f} of the rate in place, and {statistics.median(costs):.3f}"
        " times its time of the cores (medians)"
    )


def tell(number: int, there: float, here: float) -> None:
    print(f"{number + 1}: {there:7.1f} a second in decoders, {here:7.1f} in place", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory() as made:
        if asked.folder is None:
            make(Path(made), *((400, SMALL) if asked.small else (200, SIZES)))
        folder = asked.folder or Path(made)
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        if asked.alone:
            alone(paths, asked.rounds)
        else:
            together(paths, asked.rounds, asked.lanes)


if __name__ == "__main__":
    main()
