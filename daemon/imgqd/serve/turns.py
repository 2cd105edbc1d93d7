"""Requests that wait for a thread: each process has its turn, whatever another asks over however many
connections."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from imgqd.serve.job import Job
from imgqd.serve.line import LONGEST_REST

# Of one process.
MOST_WAITING = 256
# Who has asked one thing after the other so lately may ask again.
LATELY_S = 0.1


@dataclass(slots=True)
class Asking:
    """What one process asks. rests: how many times as long as its latest request has taken of a core it
    rests after it."""

    waiting: deque[Job] = field(default_factory=deque)
    under_way: int = 0
    rests: int = 0
    rests_until: float = -math.inf


class Lately:
    """When processes that ask one thing after the other last did, whatever it was; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By process; the latest last.
        self._at: dict[int, float] = {}

    def note(self, process: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._at.pop(process, None)
            self._at = {each: at for each, at in self._at.items() if now - at < LATELY_S}
            self._at[process] = now

    def others(self, process: int, now: float) -> list[int]:
        """Those that did lately, but for this one."""
        with self._lock:
            return [
                each for each, at in self._at.items() if each != process and now - at < LATELY_S
            ]


class Turns:
    """For any number of threads. Of one process so many are thought of `at_a_time`. lately: is shared with
    other turns, where somebody asks those.

    A process that asks more than is answered rests while another asks one thing after the other: that one
    is answered as if it were alone. Alone, or among others of its kind, it has all the time there is.
    """

    def __init__(self, at_a_time: int, lately: Lately | None = None) -> None:
        self._at_a_time = at_a_time
        self._lately = lately or Lately()
        self._changed = threading.Condition()
        # By process; whose turn comes next first.
        self._asking: dict[int, Asking] = {}
        self._held: set[int] = set()
        self._is_closed = False

    def put(self, job: Job) -> None:
        """Raises queue.Full where too many of its process wait."""
        process = job.peer.process
        with self._changed:
            asking = self._asking.setdefault(process, Asking())
            if len(asking.waiting) >= MOST_WAITING:
                raise queue.Full
            if not asking.waiting and asking.under_way < self._at_a_time:
                self._lately.note(process)
            asking.waiting.append(job)
            self._changed.notify()

    def take(self) -> Job | None:
        """The next one, which is under way until `leave`; None when all is closed."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                if (process := self._next(now)) is not None:
                    return self._taken(process)
                self._changed.wait(self._until_somebody_has_rested(now))
        return None

    def leave(self, job: Job) -> None:
        process, now = job.peer.process, time.monotonic()
        with self._changed:
            asking = self._asking[process]
            asking.under_way -= 1
            if asking.waiting:
                crowds = self._is_in_the_way(process, now)
                asking.rests = min(asking.rests + 1, LONGEST_REST) if crowds else 0
                asking.rests_until = now + asking.rests * job.cost
                self._changed.notify()
            elif not asking.under_way:
                del self._asking[process]

    def hold(self, process: int, is_held: bool) -> None:
        """Whether its turn does not come, for now."""
        if is_held != (process in self._held):
            with self._changed:
                (self._held.add if is_held else self._held.discard)(process)
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _is_in_the_way(self, process: int, now: float) -> bool:
        """Whether another process has asked one thing after the other lately."""
        return any(not self._crowds(each) for each in self._lately.others(process, now))

    def _crowds(self, process: int) -> bool:
        asking = self._asking.get(process)
        return asking is not None and len(asking.waiting) > 1

    def _next(self, now: float) -> int | None:
        """The process whose turn it is."""
        for process, asking in self._asking.items():
            most = 1 if asking.rests else self._at_a_time
            is_ready = asking.rests_until <= now and process not in self._held
            if asking.waiting and asking.under_way < most and is_ready:
                return process
        return None

    def _until_somebody_has_rested(self, now: float) -> float | None:
        """Seconds; None where nobody rests."""
        times = (each.rests_until for each in self._asking.values() if each.waiting)
        return min((until - now for until in times if until > now), default=None)

    def _taken(self, process: int) -> Job:
        # It is the last now.
        asking = self._asking[process] = self._asking.pop(process)
        asking.under_way += 1
        return asking.waiting.popleft()
