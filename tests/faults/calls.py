"""A call of the database fails, alone or with all that follow; when that ends, the index is right.

    python -m tests.faults.calls --first 1 --last 200

For each number of calls, each error, and both ways: while it lasts the daemon is there, answers or says why
it cannot, and runs in no circle; afterwards nothing is lost, doubled, stale, or there in part.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# As a module of the checkout; pytest has both folders on the path already.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ground
import inside
import oracle
import tiny
from conftest import Home, until

ERRORS = ("BusyError", "FullError", "IOError", "CorruptError", "NoMemError")
PROGRAM = Path(__file__).with_name("failing_database.py")
# Waited for a call that does not come, because fewer are made: a beat of every thread that makes any.
NO_CALL_S = 3.0


class Failed(AssertionError):
    """What is wrong after a fault, or during it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The number-th call from now on fails."""

    number: int
    error: str
    times: str

    def __str__(self) -> str:
        return f"{self.number} {self.error} {self.times}"


def faults(numbers: Iterable[int]) -> Iterator[Fault]:
    for number in numbers:
        for error in ERRORS:
            for times in ("once", "forever"):
                yield Fault(number, error, times)


class Faulty:
    """A home whose daemon's database fails as it is told."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._orders = home.folder / "orders"
        self._made = 0
        home.environment["IMGQ_TEST_ORDERS"] = str(self._orders)
        home.wrapper = (sys.executable, str(PROGRAM))

    def start(self) -> None:
        self.home.start()
        self.home.watch()
        for _ in range(20):
            self._picture()
        self._require_right("before any fault")

    def pass_through(self, fault: Fault) -> None:
        """Raises Failed."""
        home, before = self.home, self.failed
        self.order(str(fault))
        self._change()
        deadline = time.monotonic() + NO_CALL_S
        while self.failed == before and time.monotonic() < deadline:
            assert home.status().pid
        if fault.times == "forever":
            # Found, not found, not in time, or refused.
            done = home.imgq("red", "--timeout", "1")
            if done.returncode not in (0, 1, 3, 4):
                raise Failed(f"{fault}: a search ended with {done.returncode}: {done.stderr!r}")
        self._require_no_circle(fault)
        self.order("nothing")
        self._require_right(str(fault))

    def begin_amid(self, fault: Fault) -> None:
        """It starts all the same, or says why it does not. Raises Failed."""
        home = self.home
        home.stop()
        self._orders.write_text(str(fault))
        self._change()
        try:
            home.start()
        except AssertionError as refusal:
            assert home.daemon is not None
            if home.daemon.wait(10) != 4:
                raise Failed(f"{fault}: it did not start: {refusal}") from None
            home.start()
        self.order("nothing")
        self._require_right(f"{fault} at the start")

    @property
    def failed(self) -> int:
        """How many calls have failed so far."""
        lines = self._orders.with_suffix(".failed")
        return lines.read_text().count("\n") if lines.exists() else 0

    def order(self, words: str) -> None:
        beside = self._orders.with_suffix(".new")
        beside.write_text(words)
        beside.rename(self._orders)
        until(lambda: not self._orders.exists(), "the order to be taken")

    def _picture(self) -> None:
        self._made += 1
        place = self.home.pictures / f"d{self._made % 3}" / f"{self._made}.png"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(tiny.png(self._made))

    def _change(self) -> None:
        """A picture comes, one goes, one has another name, and one other bytes."""
        self._picture()
        first, second, third, *_ = sorted(self.home.pictures.rglob("*.png"))
        first.unlink()
        second.rename(second.with_name(f"was-{second.name}"))
        self._made += 1
        third.write_bytes(tiny.png(self._made))

    def _require_no_circle(self, fault: Fault) -> None:
        """Whoever fails waits before he tries again."""
        before, began = self.failed, time.monotonic()
        most = 40
        if fault.times == "forever":
            until(lambda: time.monotonic() > began + 0.5)
            if self.failed - before > most:
                raise Failed(f"{fault}: {self.failed - before} calls failed in half a second")

    def _require_right(self, when: str) -> None:
        home = self.home
        assert home.daemon is not None
        if home.imgq("wait", "--timeout", "30").returncode:
            raise Failed(f"{when}: not settled: {home.json('status')}\n{home.log}")
        expected = oracle.truth(home.pictures)
        wrong = [
            *oracle.difference(home, expected),
            *oracle.misjudged(home, expected),
            *oracle.misembedded(home, expected),
            *inside.unsound(home.store),
        ]
        if home.daemon.poll() is not None:
            wrong.append(f"the daemon ended: {home.daemon.returncode}")
        if "Traceback" in home.log or "this is a bug" in home.log:
            wrong.append("a bug")
        if wrong:
            raise Failed(f"{when}: {oracle.words(wrong)}\n{home.log}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=200)
    told = parser.parse_args()
    with ground.running(start=False) as home:
        faulty = Faulty(home)
        faulty.start()
        try:
            for fault in faults(range(told.first, told.last + 1)):
                faulty.pass_through(fault)
                faulty.begin_amid(fault)
                print(f"{fault}: right; {faulty.failed} calls have failed", flush=True)
        except Failed as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
