"""Folders that may have changed, gathered until they are quiet."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

# Two numbers (watchfiles' debounce): a set is taken when nothing was added for QUIET, or the first of it
# has waited for LONGEST. The second bounds how old an answer can be while a folder never rests.
QUIET_S = 0.3
LONGEST_S = 1.0

# More folders than these are no longer told apart: the whole library is looked at.
MOST_FOLDERS = 20_000


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


class Dirty:
    """Where every noticing part puts its hints, and the reconciler takes them from."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hints = Hints()
        self._first = self._last = 0.0
        self._later: dict[bytes, float] = {}
        self._someday: dict[bytes, float] = {}
        self._taken = False

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

    def mark_later(self, folder: bytes, delay: float, *, counts: bool = True) -> None:
        """A folder is to be looked at in so many seconds, if not before. It counts as waiting, unless
        all that is known of it is in the index or in the ledger already."""
        with self._changed:
            due = time.monotonic() + delay
            later = self._later if counts else self._someday
            later[folder] = min(due, later.get(folder, due))
            self._changed.notify_all()

    def hurry(self) -> None:
        """What is there is taken at once: somebody waits."""
        with self._changed:
            self._first = self._last = -LONGEST_S
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many folders wait to be looked at, or are being looked at now."""
        with self._changed:
            hints = self._hints
            waiting = len(hints.folders) + len(hints.deep) + len(self._later)
            return waiting + hints.everything + self._taken

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
            self._first, self._taken = 0.0, True
            return hints

    def done(self) -> None:
        """What was taken has been looked at."""
        with self._changed:
            self._taken = False

    def _touch(self) -> None:
        hints = self._hints
        if len(hints.folders) + len(hints.deep) + len(hints.closed) > MOST_FOLDERS:
            self._hints = Hints(everything=True, emptied=hints.emptied)
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._changed.notify_all()

    def _due(self) -> float:
        return min(self._last + QUIET_S, self._first + LONGEST_S)

    def _next(self) -> float:
        due = [self._due()] if self._hints else []
        later = [*self._later.values(), *self._someday.values()]
        return max(min([*due, *later], default=float("inf")), time.monotonic() + 0.001)

    def _wake_later(self, now: float) -> None:
        for later in (self._later, self._someday):
            for folder in [folder for folder, due in later.items() if due <= now]:
                del later[folder]
                self._hints.folders.add(folder)
                self._first = self._last = now - LONGEST_S
