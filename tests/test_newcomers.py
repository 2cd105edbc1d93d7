"""Who is attended to at once, and who waits because it came too often and never stayed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from imgqd.serve import newcomers as module
from imgqd.serve.newcomers import AT_ONCE, Newcomers


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OWED", 3)
    monkeypatch.setattr(module, "FORGIVEN_A_S", 0.0)


@pytest.fixture
def connections() -> Iterator[list[socket.socket]]:
    made = [socket.socketpair() for _ in range(30)]
    yield [here for here, _ in made]
    for pair in made:
        for end in pair:
            end.close()


def test_who_comes_too_often_waits_and_others_do_not(connections: list[socket.socket]) -> None:
    newcomers = Newcomers()
    assert [newcomers.comes(1, each) for each in connections[:5]] == [True] * 3 + [False] * 2
    assert newcomers.comes(2, connections[5])
    assert [*newcomers.next()] == connections[3:5]
    assert len(newcomers) == 0


def test_who_stays_for_its_answers_may_come_for_ever(connections: list[socket.socket]) -> None:
    newcomers = Newcomers()
    for each in connections:
        assert newcomers.comes(1, each)
        newcomers.stays(1)
    assert [newcomers.comes(1, each) for each in connections[:4]] == [True] * 3 + [False]


def test_what_is_owed_is_forgiven_with_time(
    connections: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    newcomers = Newcomers()
    assert not all(newcomers.comes(1, each) for each in connections)
    monkeypatch.setattr(module, "FORGIVEN_A_S", 1e9)
    assert newcomers.comes(1, connections[0])
    newcomers.tidy()
    assert not newcomers._owed


def test_of_each_process_some_are_next(connections: list[socket.socket]) -> None:
    newcomers = Newcomers()
    for number, each in enumerate(connections):
        newcomers.comes(number % 2, each)
    waiting = [connections[6:][process::2] for process in (0, 1)]
    for start in (0, AT_ONCE):
        expected = [each for part in waiting for each in part[start : start + AT_ONCE]]
        assert [*newcomers.next()] == expected


def test_who_has_gone_is_passed_over() -> None:
    newcomers, pairs = Newcomers(), [socket.socketpair() for _ in range(10)]
    for here, there in pairs:
        newcomers.comes(1, here)
        there.sendall(b"whatever it said")
    for _, there in pairs[3:9]:
        there.close()
    assert [*newcomers.next()] == [pairs[9][0]]
    assert len(newcomers) == 0
    for pair in pairs:
        for end in pair:
            end.close()


def test_who_has_waited_longest_of_the_most_makes_room(connections: list[socket.socket]) -> None:
    newcomers = Newcomers()
    for each in connections[:20]:
        newcomers.comes(1, each)
    for each in connections[20:25]:
        newcomers.comes(2, each)
    newcomers.keep(5)
    assert [each.fileno() < 0 for each in connections[:25]] == [
        3 <= number < 17 for number in range(25)
    ]
    newcomers.keep(0)
    assert len(newcomers) == 0
    assert not [*newcomers.next()]


def test_who_still_owes_is_not_forgotten(connections: list[socket.socket]) -> None:
    newcomers = Newcomers()
    newcomers.comes(1, connections[0])
    newcomers.tidy()
    assert newcomers._owed
    newcomers.stays(1)
    newcomers.tidy()
    assert not newcomers._owed
