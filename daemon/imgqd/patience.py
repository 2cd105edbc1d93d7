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

    def wait(self, comes: Callable[[float], bool]) -> bool:
        """Whether something comes in time. `comes` waits for it for at most so many seconds, and is asked
        once more when the patience is over: what is there is always seen."""
        while self._left > 0:
            most = min(self._left, SLICE_S)
            began = time.monotonic()
            came = comes(most)
            self._left -= min(time.monotonic() - began, most)
            if came:
                return True
        return comes(0.0)
