"""Questions before work. The interpreter runs one thread at a time, and a question needs it a hundred
times, once for each operation of the text tower: beside eight threads that index it would wait each time.

So those stop for a moment, at places where they hold nothing that a question waits for. There is one of
these for the process, as there is one interpreter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Nobody stops for longer at a time: a question may wait for the work itself.
LONGEST_S = 0.02
# Nor for what takes longer than this: that waits for a model, or for what comes.
SHORT_S = 0.25
# A client has greeted, and is about to ask; or its answer is about to leave.
LINGER_S = 0.003


class Precedence:
    """For any number of threads of both kinds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._latest = self._ended = 0.0
        self._free = threading.Event()
        self._free.set()
        self._local = threading.local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """While a question is being answered."""
        with self._lock:
            self._asked += 1
            self._latest = time.monotonic()
            self._free.clear()
        try:
            yield
        finally:
            with self._lock:
                self._asked -= 1
                if not self._asked:
                    self._ended = time.monotonic()
                    self._free.set()

    def give_way(self) -> None:
        """Waits until no question has been answered for a moment, or for a little longer; then not again
        for as long as it has waited: questions without a pause leave half of the time to work."""
        began = time.monotonic()
        if not self._goes_first(began) or began < getattr(self._local, "works_until", 0.0):
            return
        self._free.wait(LONGEST_S)
        if (rest := self._ended + LINGER_S - time.monotonic()) > 0:
            time.sleep(rest)
        ended = time.monotonic()
        self._local.works_until = ended + (ended - began)

    def _goes_first(self, now: float) -> bool:
        """Whether a question is being answered, or was a moment ago."""
        return now < (self._ended + LINGER_S if self._free.is_set() else self._latest + SHORT_S)


_precedence = Precedence()
taken, give_way = _precedence.taken, _precedence.give_way
