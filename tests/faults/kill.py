"""The daemon is killed while it indexes, again and again; each time it comes back with all that is there.

    python -m tests.faults.kill --seed 1 --rounds 100 --files 2000

In odd rounds so many new pictures are written over the old ones, in even ones two folders are in disorder
(see churn), and while that is taken up the daemon is killed as by a power cut, or one of its children is.
Then the index is what is on the disk, each picture with its own vector; the database is sound; and no more
was embedded than is new, but for a batch a kill.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ground
import inside
import oracle
import tiny
from conftest import Home
from disorder import Disorder
from fake_embedder import FakeTower

A_SECOND = 400


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    rounds: int
    files: int


@dataclass(slots=True)
class Killer:
    """seconds: how long it takes to be right when nobody kills; the kills come within it."""

    home: Home
    dice: random.Random
    seconds: float = 2.0
    kills: list[str] = field(default_factory=list)

    def some(self) -> None:
        """Up to three kills; the daemon runs at the end."""
        self.kills = []
        for _ in range(self.dice.randrange(1, 4)):
            time.sleep(self.dice.uniform(0, self.seconds))
            if self.dice.random() < 0.75:
                self.home.kill()
                self.home.start()
                self.kills.append("daemon")
            else:
                self._child()

    def _child(self) -> None:
        assert self.home.daemon is not None
        children = psutil.Process(self.home.daemon.pid).children()
        if children:
            child = self.dice.choice(sorted(children, key=lambda child: child.pid))
            self.kills.append("embedder" if "fake_embedder" in child.cmdline() else "decoder")
            child.kill()


@dataclass(slots=True)
class Library:
    """files: the folder of those that are written all at once."""

    files: Path
    disorder: Disorder
    count: int

    @property
    def roots(self) -> list[Path]:
        return [self.files, *self.disorder.roots]

    def renew(self, number: int) -> None:
        """Every file has a picture that never was before."""
        for file in range(self.count):
            (self.files / f"{file}.png").write_bytes(tiny.png(10**9 + number * self.count + file))

    def disturb(self, over: threading.Event) -> None:
        while not over.wait(1 / A_SECOND):
            self.disorder.one()
        self.disorder.finish()


def run(plan: Plan, folder: Path, home: Home) -> Iterator[str]:
    """A line for each round that went well. Raises ground.Failed."""
    killer = Killer(home, random.Random(plan.seed))
    disorder = Disorder(
        [folder / "one", folder / "two"], folder / "outside", random.Random(plan.seed)
    )
    library = Library(folder / "files", disorder, plan.files)
    disorder.prepare()
    library.files.mkdir(parents=True)
    _fill(library, home, killer)
    for number in range(1, plan.rounds + 1):
        before = home.embedded()
        if number % 2:
            library.renew(number)
            killer.some()
        else:
            _while_disturbed(library, killer)
        began = time.monotonic()
        wrong = _wrong(home, library)
        embedded = home.embedded() - before
        # Of a killed decoder's picture nothing was embedded.
        most = plan.files + FakeTower.batch * (len(killer.kills) - killer.kills.count("decoder"))
        if number % 2 and embedded > most:
            wrong.append(f"embedded {embedded} pictures, at most {most} would do")
        if wrong:
            raise ground.Failed(
                f"round {number}, killed: {', '.join(killer.kills)}\n{oracle.words(wrong)}\n"
                f"operations and log: {ground.keep(home, disorder.log)}"
            )
        yield (
            f"seed {plan.seed}, round {number}: killed {', '.join(killer.kills) or 'nobody'};"
            f" right after {time.monotonic() - began:.1f} s, {embedded} embedded"
        )


def _fill(library: Library, home: Home, killer: Killer) -> None:
    """The first pictures, with no kill: how long that takes is how long a kill may wait."""
    library.renew(0)
    began = time.monotonic()
    assert home.imgq("add", *map(str, library.roots)).returncode == 0
    wrong = _wrong(home, library)
    assert not wrong, oracle.words(wrong)
    killer.seconds = time.monotonic() - began


def _while_disturbed(library: Library, killer: Killer) -> None:
    library.disorder.log.clear()
    over = threading.Event()
    disturber = threading.Thread(target=library.disturb, args=(over,))
    disturber.start()
    try:
        killer.some()
    finally:
        over.set()
        disturber.join()


def _wrong(home: Home, library: Library) -> list[str]:
    """What is wrong when `imgq wait` says that nothing is."""
    if home.imgq("wait", "--timeout", "55").returncode:
        return [f"`imgq wait` gave up: {home.json('status')}"]
    expected = oracle.truth(*library.roots)
    return [
        *oracle.difference(home, expected),
        *oracle.misjudged(home, expected),
        *oracle.misembedded(home, expected),
        *inside.unsound(home.store),
    ]


if __name__ == "__main__":
    raise SystemExit(ground.main(__doc__, Plan, run, files=2000))
