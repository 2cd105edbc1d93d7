"""Looks after the store: a damaged one is made anew, one that could not be written is written as soon as it
can, and what nothing uses is given back when there is nothing else to do."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from imgq.errors import StoreDamaged, StoreError
from imgqd.health import allocator

if TYPE_CHECKING:
    from imgqd.index import Index
    from imgqd.library.walk import Library
    from imgqd.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)

BEAT_S = 1.0
# How often it is looked whether the index is still the file that was opened.
FILE_S = 5.0
# What fails is tried again ever more seldom, until all has been well for as long as the longest pause.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
# With less space than this a store is not opened for writing.
LEAST_SPACE = 1 << 20
# A large index is checked when all has been looked at, or after so long: both read all there is.
CHECK_S = 60.0
IDLE_S = 3600.0
MEMORY_S = 15.0
# Seconds of the processor, after which there may be memory to give back: a daemon at rest stays so.
WORK_S = 0.1
# With so many files under way nobody goes through all that there is of them: queries would wait.
FEW = 2000
# What was removed or moved away keeps its embedding for a week.
KEEP_ORPHANS_S = 7 * 86400.0


class Pause:
    """Between two attempts at what may fail."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE_S
        self._end = -LONGEST_PAUSE_S

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    @property
    def is_long_ago(self) -> bool:
        """Whether it has been over for so long that the next is the first again."""
        return time.monotonic() - self._end >= LONGEST_PAUSE_S

    def begin(self) -> None:
        longer = min(2 * self._seconds, LONGEST_PAUSE_S)
        self._seconds = FIRST_PAUSE_S if self.is_long_ago else longer
        self._end = time.monotonic() + self._seconds


class Work:
    """Of this process, between one time that memory is given back and the next."""

    def __init__(self) -> None:
        self._enough, self._due = 0.0, 0.0

    def is_enough(self) -> bool:
        """Whether there was enough of it, and long enough ago; then it begins anew."""
        done = time.process_time()
        if done < self._enough or time.monotonic() < self._due:
            return False
        self._enough, self._due = done + WORK_S, time.monotonic() + MEMORY_S
        return True


class Upkeep(threading.Thread):
    """Works until it is stopped. trouble: why the store cannot be used as it should be."""

    def __init__(self, index: Index, library: Library, reconciler: Reconciler) -> None:
        super().__init__(name="upkeep", daemon=True)
        self.index = index
        self.trouble: StoreError | None = index.full
        self._library = library
        self._reconciler = reconciler
        self._ending = threading.Event()
        self._mended = threading.Condition()
        self._pause = Pause()
        self._next_look = 0.0
        self._has_checked = self._is_waiting = False
        self._latest_check = time.monotonic() + CHECK_S
        self._next_idle = time.monotonic() + IDLE_S
        self._work = Work()
        self._commits = 0

    def run(self) -> None:
        while not self._is_over():
            try:
                self._beat()
                self.trouble = None
            except StoreError as error:
                if self.trouble is None or self.trouble.message != error.message:
                    log.error("%s", error.message)
                self.trouble = error
            except Exception:
                log.exception("the index could not be looked after: this is a bug")

    def _is_over(self) -> bool:
        """Waits until there may be something to do; whether that is the end."""
        is_well = self.trouble is None and self._has_checked
        self._is_waiting = True
        if self._pause.is_over:
            self.index.store.damage.wait(FILE_S if is_well else BEAT_S)
        else:
            self._ending.wait(BEAT_S)
        self._is_waiting = False
        return self._ending.is_set()

    def stop(self) -> None:
        """What it is at in an idle hour is left where it stands. While it waits it is not waited for: it
        ends without another look."""
        self._ending.set()
        if not self._is_waiting:
            self.join(BEAT_S)

    def renew(self, renewals: int) -> None:
        """Makes the store anew, with what can be had out of it; the rest is found by a scan. It is left
        as it is where that was done since so many times (`Index.renewals`)."""
        with self.index.lock:
            if renewals != self.index.renewals:
                return
            # At no time does it look as if all were settled.
            self._library.dirty.mark_everything()
            self.index.renew()
            self._library.roots.read()
            self._library.dirty.mark_everything()
        self._tell_mended()

    def _tell_mended(self) -> None:
        with self._mended:
            self._mended.notify_all()

    def is_mended_within(self, timeout: float) -> bool:
        """Whether a damaged store is made anew within so many seconds."""
        damage = self.index.store.damage
        with self._mended:
            return self._mended.wait_for(lambda: not damage.is_set(), timeout)

    def _beat(self) -> None:
        """Raises StoreError where something is wrong and was not mended."""
        if self._work.is_enough():
            self._free_memory()
        if self.index.store.is_immutable:
            self._go_on()
        elif self._is_damaged():
            self._mend()
        elif not self._has_checked and self._is_checked_now():
            self._has_checked = True
            self._check()
        elif time.monotonic() > self._next_idle and self._reconciler.is_settled:
            self._next_idle = time.monotonic() + IDLE_S
            self._use_idle_hour()

    def _free_memory(self) -> None:
        """What SQLite, Python and C keep of the work that is done, for the next that may never come."""
        self.index.store.free_memory()
        if self._reconciler.pending < FEW:
            gc.collect()
        allocator.give_back()

    def _go_on(self) -> None:
        """Writes the store from now on, if there is space by now."""
        disk = os.statvfs(self.index.store.path.parent)
        if disk.f_bavail * disk.f_frsize < LEAST_SPACE or not self._pause.is_over:
            assert self.index.full is not None
            raise self.index.full
        self._pause.begin()
        self.index.make_writable()
        log.info("there is space for the index again")
        self._library.dirty.mark_everything()

    def _is_checked_now(self) -> bool:
        return self._reconciler.has_scanned or time.monotonic() > self._latest_check

    def _check(self) -> None:
        """What was too large to be checked before the daemon answered. Damage is mended a beat later."""
        with suppress(StoreDamaged):
            self.index.store.check_pages()

    def _is_damaged(self) -> bool:
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + FILE_S
            with suppress(StoreDamaged):
                self.index.store.check_file()
        return self.index.store.damage.is_set()

    def _mend(self) -> None:
        """In place, where it is for the first time and can be: then no file is read again."""
        if not self._pause.is_over:
            raise self.trouble or StoreDamaged(f"the index {self.index.store.path} is damaged")
        is_first = self._pause.is_long_ago
        self._pause.begin()
        if not (is_first and self._is_repaired()):
            self.renew(self.index.renewals)

    def _is_repaired(self) -> bool:
        with self.index.lock:
            self._library.dirty.mark_everything()
            try:
                self.index.repair()
            except StoreDamaged as error:
                log.error("%s", error.message)
                return False
            self._library.dirty.mark_everything()
        log.warning("the index was damaged, and is repaired")
        self._tell_mended()
        return True

    def _use_idle_hour(self) -> None:
        """No disk is woken where nothing has changed."""
        forgotten = self.index.store.forget_orphans(time.time() - KEEP_ORPHANS_S)
        if forgotten or self._commits != self.index.commits:
            self._commits = self.index.commits
            self.index.store.maintain()
