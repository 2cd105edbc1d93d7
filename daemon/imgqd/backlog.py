"""What is known to be out of date: the files under way, and those that are still being written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from imgq import wire
from imgqd.embedder.jobs import Job


@dataclass(slots=True)
class Tally:
    """The counters of `imgq status`, since the daemon's start."""

    decoded: int = 0
    embedded: int = 0
    reused: int = 0
    failed: int = 0
    rescans: int = 0
    overflows: int = 0
    restarts: int = 0

    def shown(self) -> wire.Counters:
        return wire.Counters(**{name: getattr(self, name) for name in self.__slots__})


@dataclass(slots=True)
class _UnderWay:
    job: Job
    again: bool = False


class Backlog:
    """A path is under way once: what happens to it meanwhile has it looked at again afterwards."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._unready: dict[bytes, set[bytes]] = {}
        self._known: set[bytes] = set()
        self.tally = Tally()

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._under_way) + sum(map(len, self._unready.values()))

    @property
    def pending_known(self) -> int:
        """How many of the pending are in the index already, with what they showed before."""
        with self._changed:
            return len(self._known)

    def begin(self, job: Job, known: bool) -> bool:
        """Whether the job is to be done now; otherwise its path is under way already."""
        with self._changed:
            if job.path in self._under_way:
                self._under_way[job.path].again |= self._under_way[job.path].job.stamp != job.stamp
                return False
            self._under_way[job.path] = _UnderWay(job)
            if known:
                self._known.add(job.path)
            return True

    def finish(self, path: bytes, look_again: Callable[[bytes], None]) -> None:
        """The job is done. Where its path has changed meanwhile, `look_again` is called for its folder
        first: nobody may find everything settled in between."""
        with self._changed:
            done = self._under_way.pop(path, None)
            if done is not None and done.again:
                look_again(os.path.dirname(path))
            self._known.discard(path)
            self._changed.notify_all()

    def is_under_way(self, path: bytes) -> bool:
        with self._changed:
            return path in self._under_way

    def unready(self, folder: bytes, names: Collection[bytes]) -> None:
        """The files of a folder that are still being written: pending, but not to be read yet."""
        with self._changed:
            if names:
                self._unready[folder] = set(names)
            else:
                self._unready.pop(folder, None)
            self._changed.notify_all()

    def notify(self) -> None:
        """Something that somebody may wait for has come about."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition came true in time; it is asked anew after each change."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)
