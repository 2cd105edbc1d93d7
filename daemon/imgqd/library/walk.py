"""A pass over folders: each is listed, and held against the rows of the store."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from imgqd.embedder.jobs import Urgency
from imgqd.library import mounts
from imgqd.library.compare import Comparison, Differences, Seen, View, paired
from imgqd.library.dirty import Dirty
from imgqd.library.empties import Empties
from imgqd.library.roots import Roots
from imgqd.library.rules import Rules
from imgqd.library.scan import Entry, Named, leads_elsewhere, look, under
from imgqd.store.files import LAST, Listed

if TYPE_CHECKING:
    from imgqd.index import Index
    from imgqd.library.lookout import Lookout
    from imgqd.reconcile.backlog import Backlog
    from imgqd.records import Stamp

log = logging.getLogger(__name__)

DENIED_RETRY_S = 30.0
# So many files of a pass are put down until what is to be done for them is done.
MOST_SEEN = 100_000
# What is known of so many files far away is held at once.
MOST_HELD = 10_000


@dataclass(frozen=True, slots=True)
class Library:
    """What is watched, by which rules, and how often it is looked at without an event."""

    roots: Roots
    rules: Rules
    dirty: Dirty
    lookout: Lookout
    follow_symlinks: bool
    rescan: float
    rescan_unwatched: float
    empties: Empties = field(default_factory=Empties)

    def forget_empties(self, root: bytes) -> None:
        """A root is away, or has come: they count while it is there. Those of roots below it are counted
        anew."""
        self.empties.forget(root)
        self.dirty.mark_everything()


@dataclass(slots=True)
class Pass:
    """What a pass has found and nothing was done for yet: files not as the store knows them, and files
    and folders that are gone.

    closed: files whose writer was seen to close them. urgency: of what is to be read.
    """

    closed: set[bytes]
    urgency: Urgency
    seen: list[Seen] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    gone_folders: list[bytes] = field(default_factory=list)

    def clear(self) -> None:
        for each in (self.seen, self.gone, self.gone_folders):
            each.clear()


class Walker:
    """Walks for one thread, until it is told to end.

    book: does what a pass calls for, and empties it. lookout: who tells of changes; None where the file
    system is another machine's: then nobody waits for it.
    """

    def __init__(
        self, library: Library, index: Index, backlog: Backlog, book: Callable[[Pass], None]
    ) -> None:
        self._library = library
        self._index = index
        self._backlog = backlog
        self._book = book
        self._ending = threading.Event()
        self._comparison = Comparison(index.store.decoder)
        self.lookout: Lookout | None = None
        self._answered = 0.0
        self._differences = Differences()
        self.denied: set[bytes] = set()

    def end(self) -> None:
        self._ending.set()

    @property
    def touched(self) -> float:
        """Rises whenever the file system has answered; not a number while it is not asked."""
        return self._answered + self._differences.looked

    @property
    def is_ending(self) -> bool:
        return self._ending.is_set()

    def walk(self, top: bytes, found: Pass, *, deep: bool) -> None:
        """Looks at a folder, at every folder under it that is new, and with `deep` at all of them."""
        root = self._library.roots.of(top)
        if root is None:
            return
        if not self._library.follow_symlinks and leads_elsewhere(root, top):
            found.gone_folders.append(top)
            self.denied.discard(top)
            return
        view = View(found.closed, mounts.is_steady(self._library.roots.kind(root)), self._is_known)
        mounted = mounts.below(root) or frozenset()
        self._is_watched(top, root)
        folders = [top]
        while folders and not self._ending.is_set():
            folder = folders.pop()
            for below in self._look(folder, root, view, found):
                if below in mounted:
                    self._add_mount(below)
                # A watch before the listing: what comes later makes an event.
                elif not self._is_watched(below, root) or deep:
                    folders.append(below)
        if deep:
            self._retry_denied()

    def finish(self, found: Pass) -> None:
        """Has done what the pass calls for."""
        self._keep_absent(found)
        if self.lookout and found.gone_folders:
            self.lookout.forget(found.gone_folders)
        self._do(found)

    def _do(self, found: Pass) -> None:
        before, self._answered = self._answered, math.nan
        self._book(found)
        self._answered = before + 1

    def _keep_absent(self, found: Pass) -> None:
        """A root may have gone, or another have taken its place, amid the look: what was missed in it then
        is not gone."""
        roots = self._library.roots
        missed = {root for path in (*found.gone, *found.gone_folders) if (root := roots.of(path))}
        for root in filter(roots.looks_changed, missed):
            found.gone = [path for path in found.gone if roots.of(path) != root]
            found.gone_folders = [path for path in found.gone_folders if roots.of(path) != root]
            self._library.dirty.mark_deep(root)

    def _is_watched(self, folder: bytes, root: bytes) -> bool:
        return self.lookout is None or self.lookout.add(folder, root)

    def _look(self, folder: bytes, root: bytes, view: View, found: Pass) -> list[bytes]:
        """Holds a folder against its rows; the folders in it that belong to the root."""
        library, differences = self._library, Differences()
        self._answered, self._differences = self.touched, differences
        lock: AbstractContextManager[object] = self._index.lock if self.lookout else nullcontext()
        self._backlog.looks_at(folder)
        try:
            with (
                lock,
                look(folder, root, library.rules, library.follow_symlinks) as entries,
            ):
                pairs = self._paired(folder, entries, view, differences)
                for seen in self._comparison.of(folder, pairs, view, differences):
                    # What is under way now may be recorded before this pass is booked.
                    if not self._backlog.covers(seen):
                        found.seen.append(seen)
                    if len(found.seen) >= MOST_SEEN:
                        # What is gone may yet be found where it is now.
                        self._do(Pass(found.closed, found.urgency, found.seen))
        except (FileNotFoundError, NotADirectoryError):
            # No more, or a file or a link by now.
            found.gone_folders.append(folder)
            self.denied.discard(folder)
            return []
        except OSError as error:
            self._deny(folder, error)
            return []
        if differences.unseen:
            self._deny(folder, next(iter(differences.unseen.values())))
        else:
            self.denied.discard(folder)
        return self._note(folder, differences, found)

    def _paired(
        self, folder: bytes, entries: Iterator[Named], view: View, found: Differences
    ) -> Iterator[tuple[Entry, Listed | None]]:
        """As `paired` does. Who waits for a disk far away must not hold what he reads the index by: of
        such a one so many files are looked at, and then compared."""
        if self.lookout is not None:
            yield from paired(entries, self._index.store.listed(folder), view.steady, found)
            return
        touched, after, last = self._touching(entries), b"", b""
        while last != LAST:
            part = [*islice(touched, MOST_HELD)]
            last = part[-1][0] if len(part) == MOST_HELD else LAST
            rows = self._index.store.listed(folder, after, last)
            yield from paired(part, rows, view.steady, found)
            after = last

    def _touching(self, entries: Iterable[Named]) -> Iterator[Named]:
        for entry in entries:
            self._answered += 1
            yield entry

    def _note(self, folder: bytes, differences: Differences, found: Pass) -> list[bytes]:
        found.gone += [os.path.join(folder, name) for name in differences.gone]
        there = {*differences.folders, *differences.unseen}
        found.gone_folders += self._gone_below(folder, there)
        unready = [each for each in differences.unready if not self._backlog.covers(each)]
        self._backlog.unready(folder, (each.state for each in unready))
        if differences.unready:
            self._library.dirty.mark_later(folder, differences.unready_s)
        if differences.later is not None:
            self._library.dirty.mark_later(folder, differences.later, counts=False)
        self._library.empties.look(folder, differences.empties, differences.folders)
        roots = self._library.roots.paths()
        folders = (os.path.join(folder, name) for name in differences.folders)
        return [below for below in folders if below not in roots]

    def _deny(self, folder: bytes, error: OSError) -> None:
        """A folder that may not be read keeps its rows, and is tried again."""
        if folder not in self.denied:
            log.warning("%s cannot be read: %s", os.fsdecode(folder), error.strerror)
            self.denied.add(folder)
        self._library.dirty.mark_later(folder, DENIED_RETRY_S, counts=False)

    def _retry_denied(self) -> None:
        """A scan takes the place of what was due, and comes by no folder that is no more."""
        for folder in self.denied:
            self._library.dirty.mark_later(folder, DENIED_RETRY_S, counts=False)

    def _add_mount(self, place: bytes) -> None:
        if self._library.roots.add_mount(place):
            self._library.dirty.mark_deep(place)

    def _is_known(self, stamp: Stamp) -> bool:
        same = (stamp.size, stamp.mtime_ns, stamp.device)
        # All of them: what is left amid its rows costs a connection.
        found = [row.stamp for _, row in self._index.store.by_inode([stamp.inode])]
        return any((each.size, each.mtime_ns, each.device) == same for each in found)

    def _gone_below(self, folder: bytes, there: set[bytes]) -> list[bytes]:
        """Folders that hold known files and are not there; those above a root are left to it."""
        gone = [name for name in self._index.store.child_folders(folder) if name not in there]
        below = [os.path.join(folder, name) for name in gone]
        roots = self._library.roots.paths()
        return [path for path in below if not any(under(root, path) for root in roots)]
