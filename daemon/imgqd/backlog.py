"""What is known to be out of date: the files under way, and those that are still being written."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgq import wire
from imgqd.embedder.jobs import Job

if TYPE_CHECKING:
    from imgqd.store import FileState


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
    state: FileState | None
    again: bool = False


class Backlog:
    """A path is under way once: what happens to it meanwhile has it looked at again afterwards."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._unready: dict[bytes, Mapping[bytes, FileState | None]] = {}
        self._states: Counter[FileState | None] = Counter()
        self.tally = Tally()

    @property
    def pending(self) -> int:
        with self._changed:
            return len(self._under_way) + sum(map(len, self._unready.values()))

    def counted(self, state: FileState) -> int:
        """How many of the pending the store has in this state, from when they were read before."""
        with self._changed:
            return self._states[state]

    def begin(self, job: Job, state: FileState | None) -> bool:
        """Whether the job is to be done now; otherwise its path is under way already. state: the
        store's, None where it does not know the path."""
        with self._changed:
            if job.path in self._under_way:
                self._under_way[job.path].again |= self._under_way[job.path].job.stamp != job.stamp
                return False
            self._under_way[job.path] = _UnderWay(job, state)
            self._states[state] += 1
            return True

    def finish(self, path: bytes, look_again: Callable[[bytes], None]) -> None:
        """The job is done. Where its path has changed meanwhile, `look_again` is called for its folder
        first: nobody may find everything settled in between."""
        with self._changed:
            done = self._under_way.pop(path, None)
            if done is not None:
                self._states[done.state] -= 1
                if done.again:
                    look_again(os.path.dirname(path))
            self._changed.notify_all()

    def is_under_way(self, path: bytes) -> bool:
        with self._changed:
            return path in self._under_way

    def unready(self, folder: bytes, states: Mapping[bytes, FileState | None]) -> None:
        """The files of a folder that are still being written, with their states in the store: pending,
        but not to be read yet."""
        with self._changed:
            self._states.subtract(self._unready.pop(folder, {}).values())
            if states:
                self._unready[folder] = states
                self._states.update(states.values())
            self._changed.notify_all()

    def notify(self) -> None:
        """Something that somebody may wait for has come about."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition came true in time; it is asked anew after each change."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)
