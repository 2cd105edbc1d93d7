"""Looks after the vectors in memory, so that neither who searches nor who commits has to wait for it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.search import cache
from imgqd.search.selftest import SelfTest

if TYPE_CHECKING:
    from imgqd.index import Index
    from imgqd.search.resident import Resident
    from imgqd.store import Model

log = logging.getLogger(__name__)

END_S = 1.0
# It is calm when nothing has come or gone for so long; where it never is, the cache is written anyway, at
# first soon: from then on memory is what it will be.
CALM_S = 10.0
FIRST_IMPATIENCE_S, IMPATIENCE_S = 60.0, 900.0
# The cache is out of date when so many rows, by their share of all, have come or gone since it was written.
STALE = 1 / 16
# A start has better things to do than to read all vectors.
FIRST_TEST_S = 60.0
# What cannot be written is tried again after so long.
PAUSE_S = 600.0


class Care(threading.Thread):
    """Works until it is stopped; what it is at is left where it stands. selftest: what it found."""

    def __init__(self, index: Index, selftest: SelfTest) -> None:
        super().__init__(name="care", daemon=True)
        self.selftest = selftest
        self._index = index
        self._is_ending = self._is_calm = False
        self._cached: tuple[Resident, int] | None = None
        self._next_cache = 0.0
        self._impatient = time.monotonic() + FIRST_IMPATIENCE_S
        self._first_test = time.monotonic() + FIRST_TEST_S

    def run(self) -> None:
        while not self._is_ending:
            try:
                patience = self._look()
            except StoreError as error:
                log.warning("the vectors in memory cannot be looked after: %s", error.message)
                patience = PAUSE_S
            except Exception:
                log.exception("the vectors in memory could not be looked after: this is a bug")
                patience = PAUSE_S
            self._is_calm = not self._index.changed.wait(patience)
            self._index.changed.clear()

    def stop(self) -> None:
        self._is_ending = True
        self._index.changed.set()
        self.join(END_S)

    def _look(self) -> float | None:
        """Does what is to be done; seconds until there is more to do, if nothing changes."""
        for resident in self._index.residents():
            resident.refine()
        model, resident = self._index.in_use
        if self._is_stale(resident):
            wait = self._next_cache - time.monotonic()
            if wait > 0:
                return max(wait, CALM_S)
            if not self._is_calm and time.monotonic() < self._impatient:
                return CALM_S
            self._write_cache(model, resident)
        return self._test(resident)

    def _is_stale(self, resident: Resident) -> bool:
        cached, changes = self._cached or (resident, 0)
        since = resident.changes - (changes if cached is resident else 0)
        return since >= max(cache.LEAST, len(resident) * STALE)

    def _write_cache(self, model: Model, resident: Resident) -> None:
        changes = resident.changes
        # In this order: what changes between the two is not as the store told it, and read from there.
        known = self._index.store.sums(model)
        snapshot = resident.snapshot()
        written = cache.save(self._index.store, snapshot, known, model)
        self._impatient = time.monotonic() + IMPATIENCE_S
        if written is None:
            self._next_cache = time.monotonic() + PAUSE_S
            return
        self._cached = resident, changes
        resident.rely_on(written, snapshot)

    def _test(self, resident: Resident) -> float | None:
        """Seconds until the next self-test may be due."""
        due = self.selftest.due(resident)
        if due is None:
            return None
        if (wait := max(due, self._first_test - time.monotonic())) > 0:
            return wait
        if not self._is_calm:
            return CALM_S
        self.selftest.run(resident, lambda: self._is_ending)
        return self.selftest.due(resident)
