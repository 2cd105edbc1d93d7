"""Requests that wait for news: when they are looked at again, and how many there may be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgq import wire
from imgqd.serve import parking
from imgqd.serve.job import Later
from imgqd.serve.lanes import PATIENT_THREADS
from imgqd.serve.parking import BEAT_S, PAUSE_S, Parking
from served import Answers, Client, place, roots, serving


def job(heard: int = 0) -> Any:
    return SimpleNamespace(heard=heard, peer=SimpleNamespace(is_gone=False))


def test_news_have_those_looked_at_who_have_not_heard_them() -> None:
    park, one, other = Parking(), job(), job()
    now = time.monotonic() + 1
    assert park.take(one)
    assert park.take(other)
    assert park.leave(now) == []
    park.news += 1
    other.heard = 1
    assert park.leave(now) == [one]
    assert park.leave(now + PAUSE_S) == []


def test_news_that_come_at_once_are_one() -> None:
    park = Parking()
    now = time.monotonic() + 1
    park.news = 1
    assert park.take(job())
    assert len(park.leave(now)) == 1
    park.news = 2
    assert park.take(job(1))
    assert park.due() == now + PAUSE_S
    assert park.leave(now + PAUSE_S / 2) == []
    assert len(park.leave(now + PAUSE_S)) == 1


def test_without_news_everybody_is_looked_at_now_and_then() -> None:
    park = Parking()
    assert park.due() == float("inf")
    jobs = [job(), job()]
    assert all(map(park.take, jobs))
    assert park.leave(time.monotonic() + BEAT_S / 2) == []
    assert park.leave(time.monotonic() + BEAT_S) == jobs
    assert park.due() == float("inf")


def test_there_is_room_for_so_many_that_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "MOST_PARKED", 2)
    park, jobs = Parking(), [job(), job()]
    assert all(map(park.take, jobs))
    assert not park.take(job())
    jobs[0].peer.is_gone = True
    assert park.take(job())


class Waiting(Answers):
    """Answers a `Follow` with a sign of life, and then with what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.there: list[bytes] = []
        self.looks = 0

    def __call__(self, request: wire.Request) -> Iterator[wire.Reply | Later]:  # type: ignore[override]
        return self._following() if isinstance(request, wire.Follow) else super().__call__(request)

    def _following(self) -> Iterator[wire.Reply | Later]:
        told = 0
        yield wire.Arrivals(origin=b"", last=told, arrivals=())
        while True:
            self.looks += 1
            if told == len(self.there):
                yield Later.LATER
                continue
            told = len(self.there)
            yield wire.Arrivals(origin=b"", last=told, arrivals=())


def test_who_waits_holds_no_thread_and_is_told_each_news(tmp_path: Path) -> None:
    path, answers = place(tmp_path), Waiting()
    with serving(path, answers) as server:  # type: ignore[arg-type]
        clients = [Client(path) for _ in range(2 * PATIENT_THREADS)]
        try:
            for client in clients:
                client.ask(wire.Follow(search=wire.Search(terms=())))
            for count in (1, 2):
                answers.there.append(b"")
                server.tell_news()
                for client in clients:
                    _, more, reply = client.receive()
                    assert isinstance(reply, wire.Arrivals)
                    assert (more, reply.last) == (True, count)
            assert roots(clients[0])
        finally:
            for client in clients:
                client.close()
