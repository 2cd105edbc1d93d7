"""Looks at a root on a network, whose file system tells of no changes and may not answer."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from imgq.errors import StoreError
from imgqd.embedder.jobs import Urgency
from imgqd.library import mounts
from imgqd.library.walk import Library, Pass, Walker

log = logging.getLogger(__name__)

# A file system that has not answered for so many beats, of two seconds, is away. Time in which this process
# is stopped has none.
SILENT_BEATS = 4


@dataclass(slots=True)
class _Wanted:
    """Folders to look at; deep: with all that is under them."""

    folders: set[bytes] = field(default_factory=set)
    deep: set[bytes] = field(default_factory=set)


class Scout(threading.Thread):
    """One root's own thread: a file system that hangs holds up nobody else. It looks at everything at an
    interval, and at folders when it is told to."""

    def __init__(
        self, root: bytes, library: Library, walker: Walker, done: Callable[[], None]
    ) -> None:
        """done: is called when something was looked at."""
        super().__init__(name=f"scout {os.fsdecode(root)}", daemon=True)
        self.root = root
        self._library = library
        self.walker = walker
        self._done = done
        self._changed = threading.Condition()
        self._wanted = _Wanted()
        self._busy = False
        self._beats, self._touched = 0, 0.0

    def look(self, folders: Iterable[bytes], *, deep: bool = False) -> None:
        with self._changed:
            (self._wanted.deep if deep else self._wanted.folders).update(folders)
            self._changed.notify_all()

    def end(self) -> None:
        """Asks it to end; one that hangs does so when it comes loose."""
        self.walker.end()
        with self._changed:
            self._changed.notify_all()

    def beat(self) -> None:
        """Looks whether the file system has answered since the last beat."""
        touched = self.walker.touched
        self._beats = self._beats + 1 if self._busy and touched == self._touched else 0
        self._touched = touched

    @property
    def is_silent(self) -> bool:
        """Whether the file system has not answered for long."""
        return self._busy and self._beats >= SILENT_BEATS

    @property
    def is_done(self) -> bool:
        """Whether everything that it was told of has been looked at, as far as its file system answers."""
        with self._changed:
            wanted = self._busy or self._wanted.folders or self._wanted.deep
            return not wanted or self.is_silent

    def run(self) -> None:
        while not self.walker.is_ending:
            try:
                self._look_at(self._take())
            except StoreError as error:
                log.error("the index cannot be brought up to date: %s", error.message)
            except Exception:
                log.exception("%s could not be looked at: this is a bug", os.fsdecode(self.root))
            self._busy = False
            self._done()

    def _take(self) -> _Wanted:
        with self._changed:
            told = self._changed.wait_for(self._is_called, self._library.rescan_unwatched)
            wanted, self._wanted = self._wanted, _Wanted()
            if not told:
                wanted.deep.add(self.root)
            self._busy, self._beats = True, 0
            return wanted

    def _is_called(self) -> bool:
        return bool(self._wanted.folders or self._wanted.deep or self.walker.is_ending)

    def _look_at(self, wanted: _Wanted) -> None:
        roots, found = self._library.roots, Pass(set(), Urgency.BACKLOG)
        before = self.root in roots.online()
        there = roots.check(self.root, False)
        if wanted.deep and there:
            roots.scanning.add(self.root)
        if before and not there:
            self._library.forget_empties(self.root)
        if there and not before:
            wanted.deep.add(self.root)
        for folder in sorted(wanted.folders | wanted.deep if there else ()):
            if self._library.rules.reaches(self.root, folder):
                self.walker.walk(folder, found, deep=folder in wanted.deep)
        self.walker.finish(found)
        roots.scanning.discard(self.root)
        if there and self.root in roots.offline():
            # It was silent for a while.
            self.look([self.root], deep=True)


class Scouts:
    """The scouts of all roots on a network; there is one from the first time that it is asked for."""

    def __init__(
        self, library: Library, new_walker: Callable[[], Walker], done: Callable[[], None]
    ) -> None:
        self._library = library
        self._new_walker = new_walker
        self._done = done
        self._scouts: dict[bytes, Scout] = {}

    def of(self, root: bytes) -> Scout | None:
        """Who looks at a root; None where it is on this machine."""
        if not mounts.is_remote(self._library.roots.kind(root)):
            return None
        if root not in self._scouts:
            scout = Scout(root, self._library, self._new_walker(), self._done)
            # Where the system has no thread for it, the next to ask tries again.
            scout.start()
            self._scouts[root] = scout
        return self._scouts[root]

    @property
    def are_done(self) -> bool:
        """Whether everything has been looked at, as far as the file systems answer."""
        return all(scout.is_done for scout in [*self._scouts.values()])

    def denied(self) -> set[bytes]:
        return {
            folder for scout in [*self._scouts.values()] for folder in scout.walker.denied.copy()
        }

    def beat(self) -> None:
        """Ends those whose root was removed, and notes which file systems do not answer."""
        for root, scout in [*self._scouts.items()]:
            if root not in self._library.roots.paths():
                self._scouts.pop(root).end()
                continue
            scout.beat()
            if scout.is_silent:
                if root in self._library.roots.online():
                    self._library.forget_empties(root)
                self._library.roots.silence(root)
                self._done()

    def end(self) -> None:
        for scout in self._scouts.values():
            scout.end()
