"""Deadlines that a stopped process does not miss."""

from __future__ import annotations

import pytest

from imgqd import patience as module
from imgqd.patience import SLICE_S, Patience


class Clock:
    """Time passes only where somebody waits, `stops` seconds more in each wait."""

    def __init__(self, stops: float = 0.0) -> None:
        self.now = 1000.0
        self.stops = stops
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds + self.stops
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


def test_what_does_not_come_is_waited_for_so_long(clock: Clock) -> None:
    assert not Patience(10.0).wait(clock.wait)
    assert clock.now == 1010.0


def test_what_passes_while_the_process_is_stopped_does_not_count(clock: Clock) -> None:
    clock.stops = 3600.0
    assert not Patience(10.0).wait(clock.wait)
    assert sum(clock.waits) == 10.0


def test_several_waits_share_one_patience(clock: Clock) -> None:
    patience = Patience(2.0)
    assert patience.wait(lambda seconds: not clock.wait(seconds))
    assert not patience.wait(clock.wait)
    assert clock.now == 1002.0
    assert max(clock.waits) == SLICE_S


def test_what_is_done_between_waits_counts_but_for_a_stop(clock: Clock) -> None:
    patience = Patience(2.0)
    for _ in range(3):
        assert not patience.is_over
        clock.now += 0.4
        assert patience.wait(lambda _: True)
    clock.now += 3600.0
    assert not patience.is_over
    clock.now += 0.4
    assert patience.is_over


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_what_is_there_is_seen_when_the_patience_is_over(clock: Clock, seconds: float) -> None:
    assert Patience(seconds).wait(lambda most: clock.wait(most) or not most)
