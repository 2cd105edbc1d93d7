"""What is known to be out of date: the files under way, and those that are still being written."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgq import wire
from imgqd.embedder.jobs import Job, Urgency

if TYPE_CHECKING:
    from imgqd.library.compare import Seen
    from imgqd.store import FileState


# So many files wait for the decoders at once: 150 MB of memory.
MOST_UNDER_WAY = 200_000


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
    """A path is under way once: what happens to it meanwhile has it looked at again afterwards.

    Of a library of a million new files not all are under way at once: the rest is counted by folder, and
    those folders are looked at again when there is room.
    """

    def __init__(self, most: int = MOST_UNDER_WAY) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._unready: dict[bytes, Counter[FileState | None]] = {}
        self._put_off: defaultdict[bytes, Counter[FileState | None]] = defaultdict(Counter)
        # Folders that are to be looked at again, and how many of their files were put off.
        self._called: dict[bytes, int] = {}
        self._expected = 0
        self._states: Counter[FileState | None] = Counter()
        self.tally = Tally()

    @property
    def pending(self) -> int:
        # Without the lock, as below: no query waits for a folder that is gone through. Each of them has its
        # state there, and of put off folders there may be 100,000.
        return self._states.total()

    def counted(self, state: FileState) -> int:
        """How many of the pending the store has in this state, from when they were read before."""
        return self._states[state]

    def begin(self, seen: Iterable[Seen], urgency: Urgency) -> list[Job]:
        """What is to be done now for files that are not as the store knows them; others are under way
        already, or are put off."""
        with self._changed:
            return [job for each in seen if (job := self._job(each, urgency))]

    def covers(self, seen: Seen) -> bool:
        """Whether a file is under way already; where it has changed meanwhile, it is looked at again."""
        # Mostly, and of a million files, it is not.
        if seen.path not in self._under_way:
            return False
        with self._changed:
            known = self._under_way.get(seen.path)
            if known is not None:
                known.again |= known.job.stamp != seen.stamp
            return known is not None

    def _job(self, each: Seen, urgency: Urgency) -> Job | None:
        if self.covers(each):
            return None
        self._states[each.state] += 1
        if len(self._under_way) >= self._most:
            self._put_off[os.path.dirname(each.path)][each.state] += 1
            return None
        job = Job(each.path, each.stamp, urgency, each.suspect)
        self._under_way[each.path] = _UnderWay(job, each.state)
        return job

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done within is one step. A look that finds a file under way leaves it to its job: what is
        to be looked at again after the job must not be looked at before it is finished."""
        with self._changed:
            yield

    def finish(self, path: bytes, look_again: Callable[[bytes], None]) -> None:
        """The job is done. Where its path has changed meanwhile, `look_again` is called for its folder
        first: nobody may find everything settled in between."""
        with self._changed:
            done = self._under_way.pop(path, None)
            if done is not None:
                self._states[done.state] -= 1
                if done.again:
                    look_again(os.path.dirname(path))
            if not self._under_way:
                # What was called for does not come: its disk may hang.
                self._called, self._expected = dict.fromkeys(self._called, 0), 0
            if self._put_off and 2 * (len(self._under_way) + self._expected) < self._most:
                self._take_up(look_again)
            self._changed.notify_all()

    def jobs(self) -> list[Job]:
        """All that are under way."""
        with self._changed:
            return [each.job for each in self._under_way.values()]

    def is_under_way(self, path: bytes) -> bool:
        with self._changed:
            return path in self._under_way

    def awaits(self, path: bytes) -> bool:
        """Whether a file is under way, or its folder has some that are put off or still being written."""
        folder = os.path.dirname(path)
        with self._changed:
            return path in self._under_way or folder in self._unready or folder in self._put_off

    def looks_at(self, folder: bytes) -> None:
        """A look at a folder begins: what is unready or put off of it is counted anew."""
        with self._changed:
            for waiting in (self._unready, self._put_off):
                self._states.subtract(waiting.pop(folder, Counter()))
            self._expected -= self._called.pop(folder, 0)
            self._changed.notify_all()

    def looks_at_everything(self) -> None:
        """The same for a scan: what is no more is not waited for."""
        with self._changed:
            for folder in {*self._unready, *self._put_off}:
                self.looks_at(folder)

    def unready(self, folder: bytes, states: Iterable[FileState | None]) -> None:
        """Files of the folder that are still being written, by their states in the store: pending, but
        not to be read yet."""
        if files := Counter(states):
            with self._changed:
                self._unready[folder] = files
                self._states.update(files)

    def _take_up(self, look_again: Callable[[bytes], None]) -> None:
        """Has folders looked at of which files were put off, as many as there is room for. There may be
        100,000, and this is not done again for each file that is finished meanwhile."""
        for folder, files in self._put_off.items():
            if len(self._under_way) + self._expected >= self._most:
                break
            if folder not in self._called:
                self._called[folder] = files.total()
                self._expected += self._called[folder]
                look_again(folder)

    def notify(self) -> None:
        """Something that somebody may wait for has come about."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition came true in time; it is asked anew after each change."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)
