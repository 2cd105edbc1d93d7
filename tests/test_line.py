"""The line of one client: whose turn it is, who waits, who is refused, and how long a flood rests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from unittest.mock import Mock

from imgq import wire
from imgqd.serve.job import Job
from imgqd.serve.line import AT_A_TIME, DEAF_S, LONGEST_REST, MOST_IN_LINE, REFUSED_AT_ONCE, Line


def nothing(_: wire.Request) -> Iterator[wire.Reply]:
    return iter(())


def job(cost: float = 0.0, size: int = 1) -> Job:
    made = Job(Mock(), bytes(size), nothing)
    made.cost = cost
    return made


def filled(count: int, cost: float = 0.0) -> Line:
    line = Line()
    for _ in range(count):
        assert line.join(job(cost), 0.0)
    return line


def begun(line: Line, now: float = 0.0) -> list[Job]:
    """All whose turn it is."""
    return list(iter(lambda: line.next(now), None))


def test_requests_have_their_turn_in_their_order_so_many_at_a_time() -> None:
    jobs, line = [job() for _ in range(5)], Line()
    for each in jobs:
        line.join(each, 0.0)
    assert begun(line) == jobs[:AT_A_TIME]
    line.leave(jobs[1], 0.0)
    assert begun(line) == [jobs[AT_A_TIME]]


def test_a_line_is_empty_when_the_last_has_left() -> None:
    line = filled(1)
    assert not line.is_empty
    (one,) = begun(line)
    assert not line.is_empty
    line.leave(one, 0.0)
    assert line.is_empty


def test_the_bytes_of_all_that_wait_and_are_answered_are_counted() -> None:
    line = Line()
    for size in (100, 20, 3):
        line.join(job(size=size), 0.0)
    assert line.held == 123
    line.leave(begun(line)[0], 0.0)
    assert line.held == 23


def test_who_is_one_too_many_is_refused_and_then_not_heard_for_a_moment() -> None:
    line = filled(MOST_IN_LINE)
    for _ in range(REFUSED_AT_ONCE):
        assert line.is_heard(1.0)
        assert not line.join(job(), 1.0)
    assert line.held == MOST_IN_LINE
    assert not line.is_heard(1.0)
    assert line.wakes(1.0) == 1.0 + DEAF_S
    assert line.is_heard(1.0 + DEAF_S)


def test_who_waits_for_each_answer_never_rests() -> None:
    line = Line()
    for now in range(100):
        line.join(job(cost=5.0), float(now))
        (one,) = begun(line, float(now))
        line.leave(one, float(now))
    assert line.wakes(100.0) == math.inf


def test_who_asks_on_rests_ever_longer_up_to_a_bound() -> None:
    line, now, rests = filled(LONGEST_REST + 10, cost=1.0), 0.0, []
    under_way = begun(line)
    for _ in range(LONGEST_REST + 5):
        line.leave(under_way.pop(0), now)
        assert begun(line, now) == []
        rests.append(line.wakes(now) - now)
        now = line.wakes(now)
        under_way += begun(line, now)
    assert rests[:3] == [1.0, 2.0, 3.0]
    assert rests[-5:] == [LONGEST_REST] * 5


def test_who_lets_the_line_become_empty_is_as_new() -> None:
    line = filled(AT_A_TIME + 1, cost=1.0)
    first, *others = begun(line)
    line.leave(first, 0.0)
    others += begun(line, 1.0)
    for each in others:
        line.leave(each, 1.0)
    line.join(job(cost=1.0), 1.0)
    assert len(begun(line, 1.0)) == 1
