"""A daemon at work for long, by and by: what it holds of memory and descriptors stays what it was.

    python -m tests.faults.soak --seed 1 --rounds 60

A round is a minute of 20 operations a second in two watched folders, with a question after each hundred. At
the end all but the first five minutes is held against what FAULT 72 allows: until then threads, connections
and statements come into being, each at its first use, and none of them goes again. The library holds some
hundred files all the while: left to itself it comes to thousands, and these take memory, and may.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ground
from conftest import Home
from disorder import Disorder

OPERATIONS = 1200
A_SECOND = 20
LOOKS = 5
MOST_FILES = 300
WARMING_H = 5 / 60
# What FAULT 72 allows; at a picture more or less the allocator takes or gives back some 100 KB.
MOST_MB_AN_HOUR = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    rounds: int
    operations: int = OPERATIONS
    a_second: int = A_SECOND


@dataclass(frozen=True, slots=True)
class Held:
    """By the daemon, when it was settled: hours since the start; megabytes, and how many of them are its
    own and no pages of files, which the system takes and gives as it likes; descriptors."""

    hours: float
    megabytes: float
    own: float
    descriptors: int


def run(plan: Plan, folder: Path, home: Home) -> Iterator[str]:
    """A line for each round. Raises ground.Failed where descriptors are lost, or memory."""
    roots = [folder / "one", folder / "two"]
    disorder = Disorder(roots, folder / "outside", random.Random(plan.seed), MOST_FILES)
    disorder.prepare()
    home.watch(*roots)
    began, held = time.monotonic(), list[Held]()
    for number in range(1, plan.rounds + 1):
        _disturb(disorder, plan, home)
        held.append(_held(home, began))
        now = held[-1]
        files = home.status().index.files
        memory = f"{now.megabytes:.1f} MB, {now.own:.1f} its own"
        yield f"round {number}: {files} files, {memory}, {now.descriptors} descriptors"
    yield _judged([each for each in held if each.hours > WARMING_H])


def _disturb(disorder: Disorder, plan: Plan, home: Home) -> None:
    began = time.monotonic()
    for number in range(plan.operations):
        disorder.one()
        if number % 100 == 0:
            home.search("red")
        time.sleep(max(began + number / plan.a_second - time.monotonic(), 0.0))
    disorder.log.clear()
    disorder.finish()


def _held(home: Home, began: float) -> Held:
    home.settle()
    assert home.daemon is not None
    process = psutil.Process(home.daemon.pid)
    hours = (time.monotonic() - began) / 3600
    # The connection that has just asked may still be open, and a file that is looked at.
    descriptors = min(_counted(process) for _ in range(LOOKS))
    memory = process.memory_info()
    return Held(hours, memory.rss / 1e6, (memory.rss - memory.shared) / 1e6, descriptors)


def _counted(process: psutil.Process) -> int:
    time.sleep(0.1)
    return process.num_fds()


def _judged(held: list[Held]) -> str:
    """Of what was held at one time after the other."""
    if len(held) < 2:
        return "too short to be judged"
    descriptors = [each.descriptors for each in held]
    if max(descriptors) != min(descriptors):
        raise ground.Failed(f"the descriptors are not constant: {descriptors}")
    hours = [each.hours for each in held]
    slopes = [
        statistics.linear_regression(hours, megabytes).slope
        for megabytes in ([each.megabytes for each in held], [each.own for each in held])
    ]
    words = f"{slopes[0]:+.2f} MB an hour, of its own {slopes[1]:+.2f}"
    words += f", {descriptors[0]} descriptors all the while"
    # Over minutes a page more is megabytes an hour.
    if hours[-1] - hours[0] > 0.25 and max(slopes) > MOST_MB_AN_HOUR:
        raise ground.Failed(words)
    return words


if __name__ == "__main__":
    raise SystemExit(ground.main(__doc__, Plan, run, operations=OPERATIONS, a_second=A_SECOND))
