"""Brings the index up to date with what the watcher hints at: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from imgq.errors import StoreError
from imgqd.backlog import Backlog
from imgqd.embedder.jobs import Job, Urgency
from imgqd.index import Index
from imgqd.library import mounts, reach
from imgqd.library.compare import Seen
from imgqd.library.dirty import Hints
from imgqd.library.walk import Library, Pass, Walker
from imgqd.library.watch import Watch, open_watch
from imgqd.records import Change, Gone, GoneFolder, Moved, Stamp

log = logging.getLogger(__name__)

# How often the reconciler looks at its watcher and its clock when nothing happens.
HEARTBEAT_S = 2.0
STORE_RETRY_S = 5.0
# What was removed or moved away keeps its embedding for a week.
KEEP_ORPHANS_S = 7 * 86400.0


class Reconciler(threading.Thread):
    """Looks at what is dirty until it is stopped, and at everything now and then."""

    def __init__(
        self, library: Library, index: Index, backlog: Backlog, submit: Callable[[Job], None]
    ) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._library = library
        self._index = index
        self._backlog = backlog
        self._submit = submit
        self._ending = threading.Event()
        self._walker = Walker(library, index, backlog, self._apply, self._ending)
        self._asking = threading.Lock()
        self._wanted = self._completed = 0
        self._overflows = 0
        self._next_scan = 0.0
        self._mounted = mounts.table()
        self.replaced = 0
        self.watch: Watch = open_watch(library.dirty)

    def run(self) -> None:
        self.watch.start()
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        while not self._ending.is_set():
            hints = self._library.dirty.take(HEARTBEAT_S)
            self._take(hints)
            if hints:
                self._library.dirty.done()
                self._backlog.notify()
        self.watch.stop()

    def stop(self) -> None:
        self._ending.set()
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        self.join()

    @property
    def has_scanned(self) -> bool:
        """Whether everything has been looked at once."""
        return self._completed > 0

    @property
    def is_settled(self) -> bool:
        return self.has_scanned and not self._library.dirty.waiting and not self._backlog.pending

    def settle(self, timeout: float) -> bool:
        """Waits until every change made on disk before the call is in the index or in the ledger."""
        with self._asking:
            self._wanted += 1
            wanted = self._wanted + 1
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        return self._backlog.wait_for(
            lambda: self._completed >= wanted and self.is_settled, timeout
        )

    def denied(self) -> frozenset[bytes]:
        """The folders that may not be read."""
        return frozenset(self._walker.denied.copy())

    def forget(self, root: bytes) -> None:
        """A root is watched no longer; what lies under another one is watched again."""
        self.watch.forget([root])
        self._library.dirty.mark_everything()

    def _take(self, hints: Hints) -> None:
        serves = self._wanted + 1
        try:
            self._beat()
            if hints.everything:
                self._scan(hints)
                self._completed = serves
            elif hints:
                self._look_at(hints)
        except StoreError as error:
            log.error("the index cannot be brought up to date: %s", error.message)
            self._put_off()
        except Exception:
            log.exception("the index could not be brought up to date: this is a bug")
            self._put_off()

    def _put_off(self) -> None:
        self._ending.wait(STORE_RETRY_S)
        self._library.dirty.mark_everything()

    def _scan(self, hints: Hints) -> None:
        """Everything, root by root."""
        self._backlog.tally.rescans += 1
        roots, found = self._library.roots, Pass(hints.closed, Urgency.BACKLOG)
        for root in roots.paths():
            roots.scanning.add(root)
            if self._check(root, root in hints.emptied) and not self._ending.is_set():
                self._walker.walk(root, found, self.watch, deep=True)
            roots.scanning.discard(root)
        self._apply(found)
        self._next_scan = time.monotonic() + self._interval()
        self._index.store.forget_orphans(time.time() - KEEP_ORPHANS_S)

    def _look_at(self, hints: Hints) -> None:
        """The folders that the hints name, with what is new in them."""
        found = Pass(hints.closed, Urgency.FRESH)
        there: dict[bytes, bool] = {}
        for folder in sorted(hints.folders | hints.deep):
            root = self._library.roots.of(folder)
            if root is not None and root not in there:
                there[root] = self._check(root, root in hints.emptied)
            if root is not None and there[root] and self._library.rules.reaches(root, folder):
                self._walker.walk(folder, found, self.watch, deep=folder in hints.deep)
            else:
                # Whatever was being written there is waited for no longer.
                self._backlog.looks_at(folder)
        self._apply(found)

    def _check(self, root: bytes, emptied: bool) -> bool:
        """Whether a root is there. When one went or came, nothing is known of what is watched under it."""
        before = root in self._library.roots.online()
        there = self._library.roots.check(root, emptied)
        if there != before:
            self.watch.forget([root])
            self._library.dirty.mark_everything()
        return there

    def _apply(self, found: Pass) -> None:
        """Moves first, so that what moved is not taken for gone; then what is gone; then the reading.

        What was gone at the look and has come back since has made an event, and is looked at again.
        """
        with self._index.lock:
            moved = {move.path: move for move in self._moves(found.seen)}
            changes: list[Change] = [*moved.values(), *map(GoneFolder, found.gone_folders)]
            changes += map(Gone, found.gone)
            committed = self._index.commit(changes) if changes else None
        self._backlog.tally.reused += len(moved)
        self.watch.forget(found.gone_folders)
        for path in found.gone_folders:
            self._backlog.looks_at(path)
        for path in committed.again if committed else ():
            self._library.dirty.mark(os.path.dirname(path))
        for each in found.seen:
            if each.path not in moved:
                job = Job(each.path, each.stamp, found.urgency)
                if self._backlog.begin(job, each.state):
                    self._submit(job)
        found.clear()

    def _moves(self, seen: Sequence[Seen]) -> Iterable[Moved]:
        """New paths whose file is known, with an equal stamp, at a path where it is no longer: renaming a
        folder changes no stamp in it."""
        known: dict[Stamp, list[bytes]] = {}
        for path, row in self._index.store.by_inode({each.stamp.inode for each in seen}):
            if row.trusted and row.state != "pending":
                known.setdefault(row.stamp, []).append(path)
        for each in seen:
            sources = known.get(each.stamp, [])
            for source in sources:
                if source != each.path and not _is_same(source, each.stamp):
                    sources.remove(source)
                    yield Moved(source, each.path, each.stamp)
                    break

    def _beat(self) -> None:
        """Looks after the watcher and the roots that are away, and at the clock."""
        if not self.watch.is_alive() and not self.watch.limited:
            log.warning("the watcher died; another takes its place")
            self.replaced += 1
            self._overflows += self.watch.overflows
            self.watch.stop()
            self.watch = open_watch(self._library.dirty)
            self.watch.start()
            self._library.dirty.mark_everything()
        self._backlog.tally.overflows = self._overflows + self.watch.overflows
        self._look_after_roots()
        if time.monotonic() > self._next_scan > 0:
            self._next_scan = time.monotonic() + self._interval()
            self._library.dirty.mark_everything()

    def _look_after_roots(self) -> None:
        """A mount, an unmount, or a link that leads elsewhere makes no event."""
        roots = self._library.roots
        mounted = mounts.table()
        if mounted != self._mounted:
            self._mounted = mounted
            for root in roots.online():
                for place in mounts.below(root) or ():
                    self._library.dirty.mark(os.path.dirname(place))
        for root in roots.offline():
            self._check(root, False)
        for root in roots.online():
            if roots.looks_changed(root):
                self.watch.forget([root])
                self._check(root, False)
                self._library.dirty.mark_deep(root)

    def _interval(self) -> float:
        """Seconds to the next scan of everything."""
        well = self.watch.is_alive() and not self.watch.limited
        roots = self._library.roots
        remote = any(mounts.is_remote(roots.kind(root)) for root in roots.online())
        return self._library.rescan if well and not remote else self._library.rescan_unwatched


def _is_same(path: bytes, stamp: Stamp) -> bool:
    try:
        return Stamp.of(reach.status(path)) == stamp
    except OSError:
        return False
