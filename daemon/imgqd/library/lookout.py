"""Looks after the watcher, which is never believed."""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from imgqd.library.dirty import Dirty
from imgqd.library.outlook import Outlook
from imgqd.library.pulse import Pulse
from imgqd.library.watch import open_watch

log = logging.getLogger(__name__)

# A watcher that dies again and again is not replaced more often.
REPLACE_S = 5.0
# How long the end of one is waited for.
STOP_S = 2.0
# How often it is tried again where nothing can be watched.
RETRY_S = 30.0
# The watches are reviewed at least so far apart, and for no more than one part in so many of the time.
REVIEW_S, REVIEW_PART = 5.0, 2000
# What happened is in the status for so long; lost events are in the log once in this time.
LATELY_S = 60.0


@dataclass(slots=True)
class _Count:
    """How often something happened, and when last."""

    total: int = 0
    last: float = -math.inf

    def add(self, times: int = 1) -> None:
        self.total += times
        self.last = time.monotonic()

    @property
    def lately(self) -> int:
        return self.total if time.monotonic() - self.last < LATELY_S else 0


class Lookout:
    """The platform's watcher and its supervision: all that the rest knows of watching.

    One thread calls `start`, `beat` every two seconds, and `stop`; all else may be called by any. After a
    replacement, lost events or lost watches everything is marked dirty, and the scan that follows heals:
    `add` asks the system each time, whatever was believed.
    """

    def __init__(self, dirty: Dirty, folder: bytes) -> None:
        """folder: for a file by which the watcher is probed; made where it is not there."""
        self._dirty = dirty
        self._folder = folder
        self._absence: OSError | RuntimeError | None = None
        self._lost, self._replaced = _Count(), _Count()
        self._next_review = self._next_word = 0.0
        self._set_up()

    def start(self) -> None:
        """Where nothing can be watched (max_user_instances), imgq goes on by scanning, and tries again."""
        try:
            self._watch.start()
            self._absence = None
        except (OSError, RuntimeError) as error:
            if self._absence is None:
                log.warning("no folder can be watched, scanning only: %s", error)
            self._absence = error

    def stop(self) -> None:
        """Whoever died may have taken a lock along: it is not waited for long."""
        thread = threading.Thread(target=self._watch.stop, name="watcher-end", daemon=True)
        thread.start()
        thread.join(STOP_S)
        if thread.is_alive():
            log.warning("a watcher does not end, and is left behind with what it holds")

    def add(self, folder: bytes, root: bytes) -> bool:
        """Watches a folder. True where it was watched before: what changed in it made an event."""
        return self._watch.add(folder, root)

    def forget(self, folders: Collection[bytes]) -> None:
        """No longer watches folders and all that was under them."""
        self._watch.forget(folders)

    def beat(self) -> None:
        """Looks how the watcher does, and does what helps."""
        self._count_overflows()
        age = time.monotonic() - self._since
        if self._absence is not None:
            if age >= RETRY_S:
                self._open_anew()
        elif not self._watch.is_alive():
            self._replace("died")
        elif self._pulse.is_deaf():
            self._replace("hears nothing any more")
        else:
            self._watch.tidy()
            self._review()

    @property
    def is_well(self) -> bool:
        """Whether what changes in a watched folder makes an event."""
        return self._absence is None and self._watch.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the watcher works; also where there is none to be had, and the scans stand in for it."""
        return self._absence is not None or self._watch.is_alive()

    @property
    def uncovered(self) -> frozenset[bytes]:
        """The folders that were added and are not watched. Where nothing is (see `is_well`), they are not
        told one by one."""
        return frozenset[bytes]().union(*self._watch.refused().values())

    @property
    def limited(self) -> bool:
        """Whether the system lets fewer folders be watched than there are, or none."""
        return self._absence is not None or errno.ENOSPC in self._watch.refused()

    @property
    def overflows(self) -> int:
        """How often the system lost events."""
        return self._lost.total

    @property
    def replaced(self) -> int:
        """How often a watcher that had died or was deaf was replaced."""
        return self._replaced.total

    def outlook(self) -> Outlook:
        """What `imgq status` is to say of it."""
        return Outlook(
            absence=self._absence,
            refused=self._watch.refused(),
            overflows=self._lost.lately,
            replaced=self._replaced.lately,
        )

    def _set_up(self) -> None:
        """A watcher that knows no folder yet, not started."""
        self._watch = open_watch(self._dirty, self._folder)
        self._pulse = Pulse(self._watch)
        self._counted = 0
        self._since = time.monotonic()

    def _replace(self, reason: str) -> None:
        if time.monotonic() - self._since < REPLACE_S:
            return
        log.warning("the watcher %s; another takes its place", reason)
        self._replaced.add()
        self._open_anew()

    def _open_anew(self) -> None:
        self.stop()
        self._set_up()
        self.start()
        self._dirty.mark_everything()

    def _count_overflows(self) -> None:
        new = self._watch.overflows - self._counted
        if not new:
            return
        self._counted += new
        self._lost.add(new)
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + LATELY_S
            log.warning(
                "events were lost (%d times so far): everything is looked at", self.overflows
            )

    def _review(self) -> None:
        now = time.monotonic()
        if now < self._next_review:
            return
        if self._watch.review():
            log.warning("the system lost watches without a word; everything is looked at")
            self._dirty.mark_everything()
        took = time.monotonic() - now
        self._next_review = now + max(REVIEW_S, took * REVIEW_PART)
