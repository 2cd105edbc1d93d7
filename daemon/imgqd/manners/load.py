"""How busy other programs keep the processors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_STAT = Path("/proc/stat")
_PS_S = 5.0
# Over less than this nothing can be said: the system counts in hundredths of a second.
_LEAST_S = 1.0


class Load:
    """Between one look and the next. pids: of the daemon's children that live.

    What the daemon and its children take counts for nothing, or indexing would wait for itself.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._before: tuple[float, float] | None = None

    def of_others(self) -> float | None:
        """The share of all processors that others took since the last look, 0 to 1; None where that is not
        known: at the first look, and where the system does not tell."""
        try:
            return _by_ps() if sys.platform == "darwin" else self._by_ticks()
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return None

    def _by_ticks(self) -> float | None:
        now, before = (time.monotonic(), _busy_s() - self._own_s()), self._before
        if before is not None and now[0] - before[0] < _LEAST_S:
            return None
        self._before = now
        if before is None:
            return None
        share = (now[1] - before[1]) / (now[0] - before[0]) / (os.cpu_count() or 1)
        return min(max(share, 0.0), 1.0)

    def _own_s(self) -> float:
        """Seconds of a core that the daemon and its children took, those that have ended among them."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        spent = sum(each.ru_utime + each.ru_stime for each in used)
        for pid in self._pids():
            with suppress(OSError):
                # Behind the name, which may hold anything: the 14th and 15th field of proc(5).
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
                spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return spent


def _busy_s() -> float:
    """Seconds that all processors together were at work since the system began: of user, nice, system,
    idle, iowait, irq, softirq and steal all but the two that wait."""
    ticks = [int(each) for each in _STAT.read_bytes().split(b"\n", 1)[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")


def _by_ps() -> float:
    """As macOS has it: each process by its group and its share of a core in the last minute. The daemon's
    children are of sessions of their own, and known by their parent."""
    told = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,%cpu="], capture_output=True, timeout=_PS_S, check=True
    )
    lines = [line.split() for line in told.stdout.splitlines()]
    own = str(os.getpid()).encode()
    others = (float(share) for pid, parent, share in lines if own not in (pid, parent))
    return min(sum(others) / 100 / (os.cpu_count() or 1), 1.0)
