"""Folders that may have changed, gathered until they are quiet."""

from __future__ import annotations

import heapq
import math
import os
import threading
import time
from dataclasses import dataclass, field

from imgqd.library.scan import under
from imgqd.library.schedule import Schedule

# Two numbers (watchfiles' debounce): a set is taken when nothing was added for QUIET, or the first of it
# has waited for LONGEST. The second bounds how old an answer can be while a folder never rests.
QUIET_S = 0.3
LONGEST_S = 1.0

# More folders than these are no longer told apart: the folders above them are looked at with all that is in
# them, and where those are too many as well, everything.
MOST_FOLDERS = 20_000
# Of more files it is not remembered that they were closed: they are read when they have been still.
MOST_CLOSED = 100_000


@dataclass(slots=True)
class Hints:
    """What was noticed: hints where to look, never what is there.

    folders: to look at; deep: to look at with all that is under them; closed: files whose writer has
    closed them, or that were moved in whole; emptied: folders in which a deletion was seen;
    everything: so much that only a whole scan will do.
    """

    folders: set[bytes] = field(default_factory=set)
    deep: set[bytes] = field(default_factory=set)
    closed: set[bytes] = field(default_factory=set)
    emptied: set[bytes] = field(default_factory=set)
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.folders or self.deep or self.everything)

    def cover(self, folder: bytes) -> bool:
        """Whether to follow them is to look at the folder."""
        deep = any(under(folder, top) for top in self.deep)
        return self.everything or deep or folder in self.folders

    def above_deletions(self) -> set[bytes]:
        """The folders in which a deletion was seen, and all that they lie in."""
        found: set[bytes] = set()
        for folder in self.emptied:
            while folder not in found:
                found.add(folder)
                folder = os.path.dirname(folder)
        return found

    def bound(self) -> None:
        """Keeps few enough, by looking at more than was hinted at."""
        if len(self.folders) + len(self.deep) > MOST_FOLDERS:
            self.deep = {os.path.dirname(folder) for folder in self.folders | self.deep}
            self.folders.clear()
            self.everything |= len(self.deep) > MOST_FOLDERS // 2
        if self.everything:
            self.folders.clear()
            self.deep.clear()
        if len(self.closed) > MOST_CLOSED:
            self.closed.clear()
        if len(self.emptied) > 2 * MOST_FOLDERS:
            # What matters are the roots, which lie higher than most.
            self.emptied = {
                *heapq.nsmallest(MOST_FOLDERS, self.emptied, lambda each: each.count(b"/"))
            }


class Dirty:
    """Where every noticing part puts its hints, and the reconciler takes them from."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hints = Hints()
        self._first = self._last = 0.0
        self._later, self._someday = Schedule(), Schedule()
        self._taken: Hints | None = None

    def mark(self, folder: bytes, *, closed: bytes | None = None, emptied: bool = False) -> None:
        """A folder may have changed."""
        with self._changed:
            self._hints.folders.add(folder)
            if closed is not None:
                self._hints.closed.add(closed)
            if emptied:
                self._hints.emptied.add(folder)
            self._touch()

    def mark_deep(self, folder: bytes) -> None:
        """A folder and all that is under it may have changed."""
        with self._changed:
            self._hints.deep.add(folder)
            self._touch()

    def mark_everything(self) -> None:
        with self._changed:
            self._hints.everything = True
            self._touch()

    def put_back(self, taken: Hints) -> None:
        """What was taken could not be followed: everything is to be looked at, by what was seen then."""
        with self._changed:
            self._hints.everything = True
            self._hints.closed |= taken.closed
            self._hints.emptied |= taken.emptied
            self._touch()

    def mark_later(self, folder: bytes, delay: float, *, counts: bool = True) -> None:
        """A folder is to be looked at in so many seconds, if not before. It counts as waiting, unless
        all that is known of it is in the index or in the ledger already."""
        with self._changed:
            later = self._later if counts else self._someday
            later.put(folder, time.monotonic() + delay)
            self._changed.notify_all()

    def hurry(self) -> None:
        """What is there is taken at once: somebody waits."""
        with self._changed:
            if self._hints:
                self._first = self._last = -LONGEST_S
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many folders wait to be looked at, or are being looked at now."""
        with self._changed:
            hints = self._hints
            waiting = len(hints.folders) + len(hints.deep) + len(self._later)
            return waiting + hints.everything + (self._taken is not None)

    def covers(self, folder: bytes) -> bool:
        """Whether a folder waits to be looked at, or is being looked at now."""
        with self._changed:
            hints = [self._hints, *([self._taken] if self._taken else [])]
            return folder in self._later or any(each.cover(folder) for each in hints)

    def take(self, timeout: float) -> Hints:
        """The hints of a set that is quiet, which count as waiting until `done`; empty ones after
        `timeout` seconds without."""
        end = time.monotonic() + timeout
        with self._changed:
            while (now := time.monotonic()) < end:
                self._wake_later(now)
                if self._hints and now >= self._due():
                    break
                self._changed.wait(min(end, self._next()) - now)
            else:
                return Hints()
            hints, self._hints = self._hints, Hints()
            self._first, self._taken = 0.0, hints
            return hints

    def done(self) -> None:
        """What was taken has been looked at."""
        with self._changed:
            self._taken = None

    def _touch(self) -> None:
        self._hints.bound()
        self._last = time.monotonic()
        if not self._first:
            self._first = self._last
            # More of a set only puts it off: whoever waits for it finds that out by himself.
            self._changed.notify_all()

    def _due(self) -> float:
        return min(self._last + QUIET_S, self._first + LONGEST_S)

    def _next(self) -> float:
        due = self._due() if self._hints else math.inf
        return max(min(due, self._later.next, self._someday.next), time.monotonic() + 0.001)

    def _wake_later(self, now: float) -> None:
        if due := self._later.take(now) | self._someday.take(now):
            self._hints.folders |= due
            self._hints.bound()
            self._first = self._last = now - LONGEST_S
