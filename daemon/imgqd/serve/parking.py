"""Requests whose next reply is not there yet: they wait for news, and hold no thread meanwhile."""

from __future__ import annotations

import math
import time

from imgqd.serve.job import Job

MOST_PARKED = 256
# Without any news they are looked at so often, and with some no more often than that.
BEAT_S = 10.0
PAUSE_S = 0.05


class Parking:
    """Used by the one thread that moves bytes. news: how many there have been; whoever has some adds."""

    def __init__(self) -> None:
        self.news = 0
        self._parked: list[Job] = []
        self._latest = time.monotonic()

    def take(self, job: Job) -> bool:
        """Whether there is room for it."""
        if len(self._parked) >= MOST_PARKED:
            self._parked = [each for each in self._parked if not each.peer.is_gone]
        if len(self._parked) >= MOST_PARKED:
            return False
        self._parked.append(job)
        return True

    def due(self) -> float:
        """When some are to be looked at again; infinite where none waits."""
        if not self._parked:
            return math.inf
        return self._latest + (PAUSE_S if self._has_news() else BEAT_S)

    def leave(self, now: float) -> list[Job]:
        """Those that are to be looked at now. News that came while one was looked at are not lost on
        it."""
        if now < self.due():
            return []
        leaving = self._parked
        if now < self._latest + BEAT_S:
            leaving = [job for job in self._parked if job.heard != self.news]
        self._parked = [job for job in self._parked if job not in leaving]
        self._latest = now
        return leaving

    def _has_news(self) -> bool:
        return any(job.heard != self.news for job in self._parked)
