"""The connections that read: one for each thread that is at it, and a few that stay for the next.

Of dozens of threads few read at once. Those find what was read before in the pages and statements that a
connection keeps; and memory holds few of these.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_IDLE = 4
# Who finds none waits for so long: one is mostly left sooner than another is opened.
A_MOMENT_S = 0.005


@dataclass(slots=True)
class _Reading:
    """is_over: a generator that was left amid reading may be ended by another thread than began it, which
    cannot say so in the first one's place."""

    connection: apsw.Connection
    age: int
    is_over: bool = False


class Readers:
    """For any number of threads. open: makes another connection."""

    def __init__(self, open: Callable[[], apsw.Connection]) -> None:
        self._open = open
        self._lock = threading.Condition(threading.Lock())
        self._local = threading.local()
        self._all: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._idle: list[apsw.Connection] = []
        self._age = 0

    @contextmanager
    def one(self) -> Iterator[apsw.Connection]:
        """A connection for this thread alone: the one that it reads by already, if it does."""
        if (before := self._before()) is not None:
            yield before.connection
            return
        reading = self._local.reading = self._taken()
        try:
            yield reading.connection
        finally:
            reading.is_over = True
            self._leave(reading)

    @property
    def is_at_it(self) -> bool:
        """Whether this thread reads."""
        return self._before() is not None

    def _before(self) -> _Reading | None:
        before: _Reading | None = getattr(self._local, "reading", None)
        is_going_on = before is not None and before.age == self._age and not before.is_over
        return before if is_going_on else None

    def _taken(self) -> _Reading:
        # All that stay are opened at once: what a daemon holds open does not grow by and by.
        with self._lock:
            if len(self._all) >= MOST_IDLE:
                self._lock.wait_for(lambda: self._idle, A_MOMENT_S)
            while len(self._all) < MOST_IDLE or not self._idle:
                connection = self._open()
                self._all.add(connection)
                self._idle.append(connection)
            return _Reading(self._idle.pop(), self._age)

    def _leave(self, reading: _Reading) -> None:
        with self._lock:
            if (
                reading.age == self._age
                and len(self._idle) < MOST_IDLE
                and _is_at_rest(reading.connection)
            ):
                self._idle.append(reading.connection)
                self._lock.notify()
                return
            self._all.discard(reading.connection)
        reading.connection.close()

    def free_memory(self) -> None:
        """Those that stay forget the pages that they have read."""
        with self._lock:
            for connection in self._idle:
                connection.pragma("shrink_memory")

    def close(self) -> None:
        """All of them; one that still reads is closed when it is done. Who reads next opens another."""
        with self._lock:
            self._age += 1
            self._idle.clear()
            left = list(self._all)
            self._all.clear()
        for connection in left:
            with suppress(apsw.ThreadingViolationError):
                connection.close()


def _is_at_rest(connection: apsw.Connection) -> bool:
    """Whether no statement of it was left amid its rows, as by a generator that nobody exhausts. That one
    reads on until it is let go of; if another thread is at the connection just then it cannot be ended, and
    the log grows for as long as the connection lives."""
    return connection.txn_state() == apsw.SQLITE_TXN_NONE
