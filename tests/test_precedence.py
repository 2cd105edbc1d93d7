"""Who indexes stops for who asks, and not for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imgq import wire
from imgqd.manners import precedence
from imgqd.manners.precedence import LINGER_S, LONGEST_S, SHORT_S, Precedence
from imgqd.serve.lanes import Lanes

PATIENCE_S = 30.0


class Clock:
    """Waiting takes as long as it may, on a clock of its own."""

    def __init__(self, of: Precedence, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        monkeypatch.setattr("imgqd.manners.precedence.time.monotonic", lambda: self.now)
        monkeypatch.setattr("imgqd.manners.precedence.time.sleep", self.wait)
        monkeypatch.setattr(of._free, "wait", self.wait)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def test_work_waits_only_while_a_question_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence = Precedence()
    clock = Clock(precedence, monkeypatch)
    precedence.give_way()
    assert clock.waits == []
    with precedence.taken():
        with precedence.taken():
            pass
        precedence.give_way()
    assert clock.waits == [LONGEST_S]
    clock.now += 1.0
    precedence.give_way()
    assert clock.waits == [LONGEST_S]


def test_work_waits_a_moment_longer_for_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence = Precedence()
    clock = Clock(precedence, monkeypatch)
    monkeypatch.setattr(precedence._free, "wait", lambda _: None)
    with precedence.taken():
        pass
    clock.now += LINGER_S / 3
    precedence.give_way()
    assert clock.waits == [pytest.approx(LINGER_S * 2 / 3)]
    clock.now += LINGER_S
    precedence.give_way()
    assert len(clock.waits) == 1


def test_questions_without_a_pause_leave_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence = Precedence()
    clock = Clock(precedence, monkeypatch)
    worked = 0
    while clock.now < 110.0:
        with precedence.taken():
            precedence.give_way()
            clock.now += 0.001
            worked += 1
    assert worked * 0.001 == pytest.approx(5.0, rel=0.1)


def test_work_does_not_stop_for_what_waits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    precedence = Precedence()
    clock = Clock(precedence, monkeypatch)
    with precedence.taken():
        clock.now += SHORT_S + 0.01
        precedence.give_way()
        assert clock.waits == []
        with precedence.taken():
            precedence.give_way()
        assert clock.waits == [LONGEST_S]


def test_work_goes_on_as_soon_as_the_last_question_is_answered() -> None:
    precedence = Precedence()
    with ThreadPoolExecutor(1) as pool:
        with precedence.taken():
            working = pool.submit(precedence._free.wait, PATIENCE_S)
        assert working.result(PATIENCE_S)


class Asked:
    """A job that looks whether work stops for it."""

    def __init__(self, request: wire.Request) -> None:
        self.head = wire.pack_request(request, 1)[:64]
        self.peer: Any = type("Peer", (), {"has_hung_up": False, "process": 1})
        self.cost = 0.0
        self.goes_first = threading.Event()
        self.seen = threading.Event()

    def next(self) -> tuple[bytes, bool]:
        if not precedence._precedence._free.is_set():
            self.goes_first.set()
        self.seen.set()
        return b"", False


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes(lambda *_: None)
    yield lanes
    lanes.close()


def test_questions_go_first_and_what_waits_for_the_work_does_not(lanes: Lanes) -> None:
    for request, first in (
        (wire.Search(terms=[wire.Term(text="red")]), True),
        (wire.AskStatus(), True),
        (wire.Settle(), False),
    ):
        job: Any = Asked(request)
        lanes.put(job)
        assert job.seen.wait(PATIENCE_S)
        assert job.goes_first.is_set() == first, type(request).__name__


def test_who_has_hung_up_is_not_thought_of(lanes: Lanes) -> None:
    gone: Any = Asked(wire.AskStatus())
    gone.peer.has_hung_up = True
    for _ in range(3):
        lanes.put(gone)
    there: Any = Asked(wire.AskStatus())
    lanes.put(there)
    assert there.seen.wait(PATIENCE_S)
    assert not gone.seen.is_set()


def test_a_raised_question_is_over_all_the_same() -> None:
    precedence = Precedence()
    with pytest.raises(OSError, match="gone"), precedence.taken():
        raise OSError(os.strerror(2), "gone")
    assert precedence._free.is_set()
