"""Deadlines in this process's own time. One that was stopped, as by a laptop's sleep, finds every other
deadline over when it goes on, though whoever was to answer had no time to, or answered long ago."""

from __future__ import annotations

import time
from collections.abc import Callable

# No stop of the process costs more of its patience than this.
SLICE_S = 0.5


class Patience:
    """So many seconds, for one wait or for several after each other."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._since = time.monotonic()

    def wait(self, comes: Callable[[float], bool]) -> bool:
        """Whether something comes in time. `comes` waits for it for at most so many seconds, and is asked
        once more when the patience is over: what is there is always seen."""
        while self._left > 0:
            came = comes(min(self._left, SLICE_S))
            self._spend()
            if came:
                return True
        return comes(0.0)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left; for who has no need to wait, since there is always something."""
        self._spend()
        return self._left <= 0

    def _spend(self) -> None:
        """What was done between two waits counts, too."""
        now = time.monotonic()
        self._left -= min(now - self._since, SLICE_S)
        self._since = now
