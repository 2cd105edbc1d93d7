"""Whether a watcher hears: an event is made that must come back."""

from __future__ import annotations

import time

from imgqd.library.watch import Watch

# The most that one look tells of the time: a process that was stopped, or a machine that slept, was not
# deaf.
LOOK_S = 2.0


class Pulse:
    """Of one watcher, from its start on. To be felt every LOOK_S seconds.

    Any event that is handled after the probe was made answers it: the probe's own may be one of those that
    a full queue loses.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._heard: int | None = None
        self._silence = 0.0
        self._felt = self._next_probe = time.monotonic()

    def is_deaf(self) -> bool:
        now = time.monotonic()
        passed, self._felt = min(now - self._felt, LOOK_S), now
        if self._heard == self._watch.heard:
            self._silence += passed
            return self._silence >= self._watch.deaf_s
        self._silence, self._heard = 0.0, None
        if now >= self._next_probe:
            self._next_probe = now + self._watch.probe_s
            heard = self._watch.heard
            self._heard = heard if self._watch.probe() else None
        return False
