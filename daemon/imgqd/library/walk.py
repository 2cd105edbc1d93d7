"""A pass over folders: each is listed, and held against the rows of the store."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgqd.library import mounts
from imgqd.library.compare import Comparison, Differences, Seen
from imgqd.library.dirty import Dirty
from imgqd.library.roots import Roots
from imgqd.library.rules import Rules
from imgqd.library.scan import Look, look, under

if TYPE_CHECKING:
    from imgqd.backlog import Backlog
    from imgqd.index import Index
    from imgqd.library.watch import Watch
    from imgqd.records import Stamp

log = logging.getLogger(__name__)

DENIED_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Library:
    """What is watched, by which rules, and how often it is looked at without an event."""

    roots: Roots
    rules: Rules
    dirty: Dirty
    follow_symlinks: bool
    rescan: float
    rescan_unwatched: float


@dataclass(slots=True)
class Pass:
    """What one pass found: files not as the store knows them, and files and folders that are gone.

    closed: files whose writer was seen to close them.
    """

    closed: set[bytes]
    seen: list[Seen] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    gone_folders: list[bytes] = field(default_factory=list)


class Walker:
    """Walks for one thread, until it is told to end."""

    def __init__(
        self, library: Library, index: Index, backlog: Backlog, ending: threading.Event
    ) -> None:
        self._library = library
        self._index = index
        self._backlog = backlog
        self._ending = ending
        self._comparison = Comparison(index.store.decoder)
        self.denied: set[bytes] = set()

    def walk(self, top: bytes, found: Pass, watch: Watch, *, deep: bool) -> None:
        """Looks at a folder, at every folder under it that is new, and with `deep` at all of them."""
        root = self._library.roots.of(top)
        if root is None:
            return
        steady = mounts.is_steady(mounts.kind(root))
        roots = set(self._library.roots.paths())
        watch.add(top, root)
        folders = [top]
        while folders and not self._ending.is_set():
            folder = folders.pop()
            with self._index.lock:
                seen = self._look(folder, root, found)
                if seen is None:
                    continue
                self._compare(folder, seen, found, steady)
            for below in seen.folders:
                # A watch before the listing: what comes later makes an event.
                if below not in roots and (not watch.add(below, root) or deep):
                    folders.append(below)

    def _look(self, folder: bytes, root: bytes, found: Pass) -> Look | None:
        try:
            seen = look(folder, root, self._library.rules, self._library.follow_symlinks)
        except (FileNotFoundError, NotADirectoryError):
            found.gone_folders.append(folder)
            return None
        except OSError as error:
            self._deny(folder, error)
            return None
        self.denied.discard(folder)
        return seen

    def _deny(self, folder: bytes, error: OSError) -> None:
        """A folder that may not be read keeps its rows, and is tried again."""
        if folder not in self.denied:
            log.warning("%s cannot be read: %s", os.fsdecode(folder), error.strerror)
            self.denied.add(folder)
        self._library.dirty.mark_later(folder, DENIED_RETRY_S, counts=False)

    def _compare(self, folder: bytes, seen: Look, found: Pass, steady: bool) -> None:
        rows = self._index.store.rows(folder)
        differences = self._comparison.of(folder, seen, rows, closed=found.closed, steady=steady)
        self._note_whole(differences)
        found.seen += differences.changed
        found.gone += [os.path.join(folder, name) for name in differences.gone]
        found.gone_folders += self._gone_below(folder, seen.folders)
        self._backlog.unready(folder, {each.path: each.state for each in differences.unready})
        if differences.unready:
            self._library.dirty.mark_later(folder, differences.unready_s)
        if differences.later is not None:
            self._library.dirty.mark_later(folder, differences.later, counts=False)

    def _note_whole(self, differences: Differences) -> None:
        """A young file whose bytes are known at another path has only moved: nobody writes to it."""
        for each in [*differences.unready]:
            if self._is_known(each.stamp):
                differences.unready.remove(each)
                differences.changed.append(each)

    def _is_known(self, stamp: Stamp) -> bool:
        same = (stamp.size, stamp.mtime_ns)
        found = self._index.store.by_inode(stamp.inode, stamp.device)
        return any((row.stamp.size, row.stamp.mtime_ns) == same for _, row in found)

    def _gone_below(self, folder: bytes, there: Iterable[bytes]) -> list[bytes]:
        """Folders that hold known files and are not there; those above a root are left to it."""
        here = {os.path.basename(below) for below in there}
        gone = [name for name in self._index.store.child_folders(folder) if name not in here]
        below = [os.path.join(folder, name) for name in gone]
        roots = self._library.roots.paths()
        return [path for path in below if not any(under(root, path) for root in roots)]
