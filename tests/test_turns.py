"""Whose turn it is among processes that ask over many connections."""

from __future__ import annotations

import queue
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from imgqd.serve import turns as module
from imgqd.serve.line import LONGEST_REST
from imgqd.serve.turns import MOST_WAITING, Lately, Turns


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a line of a test takes, what it did was lately."""
    monkeypatch.setattr(module, "LATELY_S", 3600.0)


def put(turns: Turns, *processes: int) -> list[Any]:
    """Requests that cost ten seconds each."""
    jobs = [SimpleNamespace(peer=SimpleNamespace(process=each), cost=10.0) for each in processes]
    for job in jobs:
        turns.put(job)  # type: ignore[arg-type]
    return jobs


def taken(turns: Turns, count: int) -> list[Any]:
    return [turns.take() for _ in range(count)]


def rest(turns: Turns) -> float:
    """Seconds until anybody's turn comes."""
    now = monotonic()
    return 0.0 if turns._next(now) is not None else turns._until_somebody_has_rested(now) or 0.0


def test_each_process_has_its_turn() -> None:
    turns = Turns(9)
    flood = put(turns, 1, 1, 1, 1)
    first, second = put(turns, 2, 2)
    assert taken(turns, 6) == [flood[0], first, flood[1], second, *flood[2:]]


def test_of_one_process_so_many_are_under_way() -> None:
    turns = Turns(2)
    one, two, three = put(turns, 1, 1, 1)
    assert taken(turns, 2) == [one, two]
    assert turns._next(monotonic()) is None
    turns.leave(two)
    assert rest(turns) == 0.0
    assert turns.take() is three


def test_what_a_process_may_have_waiting_is_bounded_and_others_wait_all_the_same() -> None:
    turns = Turns(2)
    put(turns, *[1] * MOST_WAITING)
    with pytest.raises(queue.Full):
        put(turns, 1)
    put(turns, 2)
    turns.take()
    put(turns, 1)


def test_who_asks_more_than_is_answered_rests_ever_longer_while_another_asks() -> None:
    turns = Turns(2)
    put(turns, *[1] * 50)
    rests = []
    for _ in range(LONGEST_REST + 2):
        (other,) = put(turns, 2)
        one, _ = sorted(taken(turns, 2), key=lambda job: int(job.peer.process))
        turns.leave(other)
        turns.leave(one)
        rests.append(round(rest(turns) / one.cost))
        turns._asking[1].rests_until = 0.0
    assert rests == [*range(1, LONGEST_REST), *[LONGEST_REST] * 3]


def test_while_it_rests_others_do_not_and_then_it_has_one_at_a_time() -> None:
    turns = Turns(2)
    one, *_ = put(turns, 1, 1, 1)
    (other,) = put(turns, 2)
    assert taken(turns, 2) == [one, other]
    turns.leave(one)
    (next,) = put(turns, 2)
    assert turns.take() is next
    assert rest(turns) > 1
    turns._asking[1].rests_until = 0.0
    turns.take()
    assert turns._next(monotonic()) is None


def test_alone_nobody_rests() -> None:
    turns = Turns(2)
    for job in put(turns, 1, 1, 1, 1):
        assert rest(turns) == 0.0
        assert turns.take() is job
        turns.leave(job)


def test_nobody_rests_for_one_that_asked_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATELY_S", 0.0)
    turns = Turns(2)
    put(turns, 1, 1, 1, 2)
    for job in taken(turns, 2):
        turns.leave(job)
        assert rest(turns) == 0.0


def test_nobody_rests_for_one_that_crowds_as_well() -> None:
    turns = Turns(2)
    put(turns, *[1] * 9, *[2] * 9)
    for job in taken(turns, 4):
        turns.leave(job)
        assert rest(turns) == 0.0


def test_who_crowds_rests_while_another_asks_for_something_else() -> None:
    lately = Lately()
    listings, searches = Turns(2, lately), Turns(2, lately)
    put(listings, 1, 1, 1)
    put(searches, 2)
    for job in taken(listings, 2):
        listings.leave(job)
    assert rest(listings) > 1


def test_who_is_held_waits_and_goes_on_afterwards() -> None:
    turns = Turns(2)
    one, other = put(turns, 1, 2)
    turns.hold(1, True)
    assert turns.take() is other
    assert turns._next(monotonic()) is None
    turns.hold(1, False)
    assert turns.take() is one


def test_nothing_is_kept_of_who_has_left() -> None:
    turns = Turns(2)
    for each in put(turns, 1, 2, 3):
        assert turns.take() is each
        turns.leave(each)
    assert not turns._asking


def test_the_end_lets_everybody_go() -> None:
    turns = Turns(2)
    put(turns, 1)
    turns.close()
    assert turns.take() is None
