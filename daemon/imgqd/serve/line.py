"""The requests of one client: some are answered at a time, others wait in line, the rest is refused."""

from __future__ import annotations

import math
from collections import deque

from imgqd.serve.job import Job

# Answered at a time: fewer than there are threads in any lane.
AT_A_TIME = 2
MOST_IN_LINE = 64
# Refused at once; then the client is not listened to for a moment.
REFUSED_AT_ONCE, DEAF_S = 16, 0.01
# Who asks on without waiting for answers rests after each, so many times as long as that has taken of a
# core: a little longer each time, up to this. A flood is left a twentieth of a core.
LONGEST_REST = 20


class Line:
    """Times are those of `time.monotonic`. held: bytes of all requests in it and under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.held = 0
        self._waiting: deque[Job] = deque()
        self._refused = 0
        self._rests = 0
        self._rests_until = self._deaf_until = -math.inf

    def join(self, job: Job, now: float) -> bool:
        """Whether there is room for it in the line."""
        if len(self._waiting) < MOST_IN_LINE:
            self._waiting.append(job)
            self.held += job.size
            return True
        self._refused += 1
        if self._refused % REFUSED_AT_ONCE == 0:
            self._deaf_until = now + DEAF_S
        return False

    def next(self, now: float) -> Job | None:
        """The one that is to be answered now."""
        if not self._waiting or self.under_way == AT_A_TIME or now < self._rests_until:
            return None
        self.under_way += 1
        return self._waiting.popleft()

    def leave(self, job: Job, now: float) -> None:
        """The last reply to it has left."""
        self.under_way -= 1
        self.held -= job.size
        self._rests = min(self._rests + 1, LONGEST_REST) if self._waiting else 0
        self._rests_until = now + self._rests * job.cost

    def lighten(self, job: Job) -> None:
        """What it asked has been taken in, and is held no longer."""
        self.held -= job.size
        job.size = 0

    def is_heard(self, now: float) -> bool:
        """Whether another may join."""
        return now >= self._deaf_until

    @property
    def is_empty(self) -> bool:
        return not self.under_way and not self._waiting

    def wakes(self, now: float) -> float:
        """When there is something to be done without anybody asking; infinite where there is not."""
        times = [self._deaf_until] + [self._rests_until] * bool(self._waiting)
        return min((time for time in times if time > now), default=math.inf)
