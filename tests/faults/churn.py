"""Two watched folders in disorder, round after round; soon after each the index is what is on the disk.

    python -m tests.faults.churn --seed 1 --rounds 100

A round that fails is told with its seed and number, with where the index and the disk differ, and with the
operations on those paths; all operations are in a file. The same seed does the same again.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ground
import oracle
from conftest import Home
from disorder import Disorder

OPERATIONS = 1200
A_SECOND = 400
# After so many seconds of quiet the index is right.
SOON_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    rounds: int
    operations: int = OPERATIONS


def run(plan: Plan, folder: Path, home: Home) -> Iterator[str]:
    """A line for each round that went well. Raises ground.Failed."""
    roots = [folder / "one", folder / "two"]
    disorder = Disorder(roots, folder / "outside", random.Random(plan.seed))
    disorder.prepare()
    assert home.imgq("add", *map(str, roots)).returncode == 0
    for number in range(1, plan.rounds + 1):
        disorder.log.clear()
        _disturb(disorder, plan.operations)
        began = time.monotonic()
        # By itself at times, and at times because somebody asks and relies on the answer.
        wrong = _asked(home, roots) if number % 2 else _unasked(home, roots)
        took = time.monotonic() - began
        if wrong:
            raise ground.Failed(
                f"round {number}: wrong {took:.1f} s after the last operation\n{oracle.words(wrong)}\n"
                f"operations and log: {ground.keep(home, disorder.log)}"
            )
        counters = home.json("status")["counters"]
        yield f"seed {plan.seed}, round {number}: right after {took:.1f} s; {counters}"


def _disturb(disorder: Disorder, operations: int) -> None:
    """In bursts, at A_SECOND on average."""
    began, done = time.monotonic(), 0
    while done < operations:
        burst = disorder.dice.randrange(1, 200)
        for _ in range(min(burst, operations - done)):
            disorder.one()
        done += burst
        time.sleep(max(began + done / A_SECOND - time.monotonic(), 0.0))
    disorder.finish()


def _unasked(home: Home, roots: list[Path]) -> list[str]:
    return oracle.agreement(home, oracle.truth(*roots), SOON_S)


def _asked(home: Home, roots: list[Path]) -> list[str]:
    """What is wrong at once when `imgq wait` has said that nothing is."""
    done = home.imgq("wait", "--timeout", "25")
    if done.returncode:
        return [f"`imgq wait` gave up: {home.json('status')}"]
    expected = oracle.truth(*roots)
    return oracle.difference(home, expected) + oracle.misjudged(home, expected)


if __name__ == "__main__":
    raise SystemExit(ground.main(__doc__, Plan, run, operations=OPERATIONS))
