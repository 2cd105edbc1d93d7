"""Who has come and was not attended to yet: who comes ever again, and never stays for an answer, waits
behind all others."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator

from imgqd.serve.peer import still_here

# So many connections more than were answered a process may open before it has to wait; of those so many
# are forgiven in a second.
MOST_OWED = 128.0
FORGIVEN_A_S = 100.0
# Of each process that waits, so many are attended to at a time.
AT_ONCE = 4


class Newcomers:
    """Connections by process; used by one thread."""

    def __init__(self) -> None:
        # What each owes, and when it did.
        self._owed: dict[int, tuple[float, float]] = {}
        self._waiting: dict[int, deque[socket.socket]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def comes(self, process: int, connection: socket.socket) -> bool:
        """Whether it is to be attended to at once; it waits where not."""
        now = time.monotonic()
        owed = self._owes(process, now) + 1
        self._owed[process] = owed, now
        if owed > MOST_OWED:
            self._waiting.setdefault(process, deque()).append(connection)
        return owed <= MOST_OWED

    def stays(self, process: int) -> None:
        """One was answered."""
        if process in self._owed:
            now = time.monotonic()
            self._owed[process] = max(self._owes(process, now) - 1, 0.0), now

    def next(self) -> Iterator[socket.socket]:
        """The first who wait and are still there, of each process some."""
        for process, waiting in [*self._waiting.items()]:
            here = self._waiting[process] = deque(still_here(waiting))
            for _ in range(min(AT_ONCE, len(here))):
                yield here.popleft()
            if not here:
                del self._waiting[process]

    def keep(self, most: int) -> None:
        """Sends away all but so many, first who have waited longest of the process that has most."""
        while len(self) > most:
            process = max(self._waiting, key=lambda each: len(self._waiting[each]))
            self._waiting[process].popleft().close()
            if not self._waiting[process]:
                del self._waiting[process]

    def tidy(self) -> None:
        """Forgets who owes nothing."""
        now = time.monotonic()
        self._owed = {each: owed for each, owed in self._owed.items() if self._owes(each, now)}

    def _owes(self, process: int, now: float) -> float:
        owed, then = self._owed.get(process, (0.0, now))
        return max(owed - FORGIVEN_A_S * (now - then), 0.0)
