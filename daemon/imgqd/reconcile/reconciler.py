"""Brings the index up to date with what the watcher hints at: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from imgq.errors import StoreError
from imgqd.embedder.jobs import Job, Urgency
from imgqd.index import Index
from imgqd.library import mounts
from imgqd.library.dirty import Hints
from imgqd.library.scan import under
from imgqd.library.walk import Library, Pass, Walker
from imgqd.reconcile.backlog import Backlog
from imgqd.reconcile.bookkeeper import Bookkeeper
from imgqd.reconcile.scout import Scouts

log = logging.getLogger(__name__)

# How often the reconciler looks at its watcher and its clock when nothing happens.
HEARTBEAT_S = 2.0
STORE_RETRY_S, LONGEST_RETRY_S = 5.0, 60.0
# Folders for which the system has no watch left are looked at so often; more seldom if they are many, for
# one part in so many of the time.
POLL_S, POLL_PART = 30.0, 100


class Reconciler(threading.Thread):
    """Looks at what is dirty until it is stopped, and at everything now and then."""

    def __init__(
        self, library: Library, index: Index, backlog: Backlog, submit: Callable[[Job], None]
    ) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._library = library
        self._index = index
        self._backlog = backlog
        self._bookkeeper = Bookkeeper(library, index, backlog, submit)
        self._lookout = library.lookout
        self._walker = self._new_walker()
        self._walker.lookout = library.lookout
        self._scouts = Scouts(library, self._new_walker, backlog.notify)
        self._ending = threading.Event()
        self._asking = threading.Lock()
        self._wanted = self._completed = 0
        self._next_scan = self._next_poll = 0.0
        self._mounts = mounts.Table()
        self.trouble: StoreError | None = None
        self._pause = STORE_RETRY_S
        self._turns = 0
        self._waits = True

    @property
    def progress(self) -> tuple[int, float] | None:
        """Its turns, and how far the one under way is; None between two."""
        return None if self._waits else (self._turns, self._walker.touched)

    def _new_walker(self) -> Walker:
        return Walker(self._library, self._index, self._backlog, self._bookkeeper.book)

    def run(self) -> None:
        self._lookout.start()
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        while not self._ending.is_set():
            self._waits = True
            hints = self._library.dirty.take(HEARTBEAT_S)
            self._waits = False
            self._turns += 1
            self._take(hints)
            if hints:
                self._library.dirty.done()
                self._backlog.notify()
        self._lookout.stop()

    def stop(self) -> None:
        self._ending.set()
        self._walker.end()
        self._scouts.end()
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        self.join()

    @property
    def has_scanned(self) -> bool:
        """Whether everything has been looked at once."""
        return self._completed > 0

    @property
    def pending(self) -> int:
        """Files that are waited for."""
        return self._backlog.pending

    @property
    def is_settled(self) -> bool:
        waiting = self._library.dirty.waiting or self._backlog.pending
        return self.has_scanned and not waiting and self._scouts.are_done

    def settle(self, timeout: float) -> bool:
        """Waits until every change made on disk before the call is in the index or in the ledger."""
        wanted = self._want()
        return self._backlog.wait_for(
            lambda: self._completed >= wanted and self.is_settled, timeout
        )

    def look(self, timeout: float) -> bool:
        """Waits until every change made on disk before the call was noticed: is pending, or done."""
        wanted = self._want()
        return self._backlog.wait_for(
            lambda: self._completed >= wanted and self._scouts.are_done, timeout
        )

    def _want(self) -> int:
        """Has everything looked at, and says which number of `_completed` tells that it was."""
        with self._asking:
            self._wanted += 1
            wanted = self._wanted + 1
        self._library.dirty.mark_everything()
        self._library.dirty.hurry()
        return wanted

    def denied(self) -> frozenset[bytes]:
        """The folders that may not be read, on roots that are there."""
        roots, online = self._library.roots, self._library.roots.online()
        found = self._walker.denied.copy() | self._scouts.denied()
        return frozenset(folder for folder in found if roots.of(folder) in online)

    def forget(self, root: bytes) -> None:
        """A root is watched no longer; what lies under another one is watched again."""
        self._lookout.forget([root])
        self._library.forget_empties(root)

    def _take(self, hints: Hints) -> None:
        serves = self._wanted + 1
        try:
            self._beat()
            if hints.everything:
                self._scan(hints)
                self._completed = serves
            elif hints:
                self._look_at(hints)
            self.trouble, self._pause = None, STORE_RETRY_S
        except StoreError as error:
            if self.trouble is None or self.trouble.message != error.message:
                log.error("the index cannot be brought up to date: %s", error.message)
            # Without the frames of the look, which hold what it read the index by.
            self.trouble = error.with_traceback(None)
            self._put_off(hints)
        except Exception:
            log.exception("the index could not be brought up to date: this is a bug")
            self._put_off(hints)

    def _put_off(self, hints: Hints) -> None:
        """Ever more seldom: each attempt looks at everything."""
        self._ending.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_RETRY_S)
        self._library.dirty.put_back(hints)

    def _scan(self, hints: Hints) -> None:
        """Everything, root by root."""
        self._backlog.tally.rescans += 1
        self._backlog.looks_at_everything()
        roots, found = self._library.roots, Pass(hints.closed, Urgency.BACKLOG)
        emptied = self._emptied(hints)
        for root in roots.paths():
            if scout := self._scouts.of(root):
                scout.look([root], deep=True)
                continue
            roots.scanning.add(root)
            if self._check(root, root in emptied) and not self._ending.is_set():
                self._walker.walk(root, found, deep=True)
            roots.scanning.discard(root)
        self._walker.finish(found)
        self._next_scan = time.monotonic() + self._interval()

    def _look_at(self, hints: Hints) -> None:
        """The folders that the hints name, with what is new in them."""
        found = Pass(hints.closed, Urgency.FRESH)
        there: dict[bytes, bool] = {}
        emptied = self._emptied(hints)
        roots = self._library.roots.paths()
        # What lies above a root stands for it.
        deep = hints.deep.union(r for r in roots if any(under(r, each) for each in hints.deep))
        for folder in sorted(hints.folders | deep):
            root = self._library.roots.of(folder)
            if root is not None and (scout := self._scouts.of(root)):
                scout.look([folder], deep=folder in deep)
                continue
            if root is not None and root not in there:
                there[root] = self._check(root, root in emptied)
            if root is not None and there[root] and self._library.rules.reaches(root, folder):
                self._walker.walk(folder, found, deep=folder in deep)
            else:
                # Whatever was being written there is waited for no longer.
                self._backlog.looks_at(folder)
                self._walker.denied.discard(folder)
        self._walker.finish(found)

    def _emptied(self, hints: Hints) -> set[bytes]:
        """The roots that deletions may have emptied. Where it was seen that very many files of a folder
        went, the last word, that it went itself, may be lost or still be under way."""
        roots, above = self._library.roots, hints.above_deletions()
        held = (root for root in roots.paths() if root in above and self._scouts.of(root) is None)
        return {root for root in held if root in hints.emptied or not roots.looks_changed(root)}

    def _check(self, root: bytes, emptied: bool) -> bool:
        """Whether a root is there. When one went or came, nothing is known of what is watched under it."""
        before = root in self._library.roots.online()
        there = self._library.roots.check(root, emptied)
        if there != before:
            self._lookout.forget([root])
            self._library.forget_empties(root)
        return there

    def _beat(self) -> None:
        """Looks after the watcher and the roots that are away, and at the clock."""
        self._lookout.beat()
        self._backlog.tally.overflows = self._lookout.overflows
        self._look_after_roots()
        self._poll()
        if time.monotonic() > self._next_scan > 0:
            self._next_scan = time.monotonic() + self._interval()
            self._library.dirty.mark_everything()

    def _poll(self) -> None:
        """Looks at the folders that nobody watches."""
        began = time.monotonic()
        if began < self._next_poll or not (uncovered := self._lookout.uncovered):
            return
        # What is in an uncovered folder is looked at with it.
        self._look_at(Hints({each for each in uncovered if os.path.dirname(each) not in uncovered}))
        pause = max(POLL_S, POLL_PART * (time.monotonic() - began))
        self._next_poll = time.monotonic() + min(pause, self._library.rescan_unwatched)

    def _look_after_roots(self) -> None:
        """A mount, an unmount, or a link that leads elsewhere makes no event."""
        self._look_at_mounts()
        self._scouts.beat()
        roots = self._library.roots
        here = [root for root in roots.paths() if self._scouts.of(root) is None]
        for root in here:
            if root in roots.offline():
                self._check(root, False)
            elif roots.looks_changed(root):
                self._lookout.forget([root])
                self._check(root, False)
                self._library.dirty.mark_deep(root)

    def _look_at_mounts(self) -> None:
        """Marks where something was mounted or unmounted, in a root or above it."""
        changes = self._mounts.changes()
        for root in self._library.roots.paths() if changes else ():
            real = root if self._scouts.of(root) else os.path.realpath(root)
            for place in changes:
                if under(real, place):
                    self._library.dirty.mark_deep(root)
                elif under(place, real):
                    above = os.path.dirname(place[len(real) :].strip(b"/"))
                    self._library.dirty.mark(os.path.join(root, above).rstrip(b"/"))

    def _interval(self) -> float:
        """Seconds to the next scan of everything."""
        well = self._lookout.is_well and not self._lookout.limited
        return self._library.rescan if well else self._library.rescan_unwatched
