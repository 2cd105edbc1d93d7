"""How much of the time that passes a child has for itself: on a busy machine it may be kept from work."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Of /proc/PID/stat, behind the name: utime and stime.
_TIMES = slice(11, 13)
# Whoever gets less of a processor than this is taken for late in the end, too: it may hang.
LEAST_SHARE = 1 / 3


class Pace:
    """Of the process with an id, from now on."""

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._stat = Path(f"/proc/{pid}/stat")
        self._worked = self._work()

    def taken(self, seconds: float) -> float:
        """What counts of the time since the last look, which was so long ago: all of it, but where it waits
        for a processor what it had of one. All where the system does not tell (macOS)."""
        before, self._worked = self._worked, self._work()
        if not self._wants_to_work():
            return seconds
        return min(max(self._worked - before, LEAST_SHARE * seconds), seconds)

    def _work(self) -> float:
        """Seconds that it had of processors."""
        try:
            times = self._stat.read_bytes().rpartition(b") ")[2].split()[_TIMES]
        except OSError:
            return 0.0
        return sum(map(int, times)) * _TICK_S

    def _wants_to_work(self) -> bool:
        try:
            return any(
                (thread / "stat").read_bytes().rpartition(b") ")[2].startswith(b"R")
                for thread in self._tasks.iterdir()
            )
        except OSError:
            return False
