"""The store and the resident vectors as one: what a commit changes on disk changes in memory, too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreError
from imgqd.search import cache
from imgqd.search.loading import loaded, read
from imgqd.search.residents import Residents, put
from imgqd.store import Counts, Store, Tally

if TYPE_CHECKING:
    from imgq.errors import StoreFull
    from imgqd.records import Change
    from imgqd.search.resident import Resident
    from imgqd.store.records import Committed, Model, Renewed

log = logging.getLogger(__name__)

# So long it is told that an index was made anew.
LATELY_S = 86400.0
# Counting takes one part in so many of the time at most, while pictures are being recorded.
COUNTING_SHARE = 20


class Index:
    """The one place that writes.

    `lock` makes a look at the disk and the commit that follows from it one step: held by whoever
    compares a folder with its rows, and by whoever records what was read of a file.
    """

    def __init__(self, store: Store, resident: Resident, renewed: Renewed | None = None) -> None:
        """renewed: what the store was made anew of, if it was."""
        self.lock = threading.RLock()
        # Set whenever other pictures can be found than before; for who looks after those in memory.
        self.changed = threading.Event()
        self.store = store
        self._residents = Residents(resident, store.model if store.has_model else None)
        self.full: StoreFull | None = None
        self.commits = self.renewals = 0
        # The last picture that arrived and can be found, and who wants to know of the next.
        self.arrived = store.last_arrival()
        self.tell_arrival: Callable[[], None] = lambda: None
        # Who makes vectors by other models is told which pictures have come.
        self.tell_shown: Callable[[Sequence[int]], None] = lambda pictures: None
        self._renewed = (renewed, time.monotonic())
        self._counts = Counts()
        self._counted_until = 0.0
        self._root_counts: dict[bytes, Tally] = {}
        if store.has_model:
            self._bound(store.model, resident)

    @property
    def resident(self) -> Resident:
        """The vectors of the model in use, in memory."""
        return self._residents.used

    @property
    def in_use(self) -> tuple[Model, Resident]:
        """The model in use and its vectors, of one moment."""
        now = self._residents
        return now.model or self.store.model, now.used

    def residents(self) -> list[Resident]:
        """All that are in memory, those of the model in use first."""
        return list(self._residents)

    def resident_of(self, model: Model) -> Resident:
        """The vectors of any model that is held; where they are not in memory, they are by then."""
        known = self._residents.of(model)
        if known is not None:
            return known
        with self.lock:
            known = self._residents.of(model)
            if known is None:
                known = self._bound(model, read(self.store, model))
                self._residents = self._residents.with_other(model, known)
        return known

    def count_of(self, model: Model) -> int:
        """How many of its vectors are in memory."""
        known = self._residents.of(model)
        return len(known) if known is not None else 0

    def rest(self, model: Model) -> None:
        """Gives the memory back that the vectors of a model take which is not in use."""
        with self.lock:
            self._residents = self._residents.without(model)

    def use(self, model: Model, *, keep: bool) -> None:
        """Has a model take the place of the one in use: in one transaction, and then at once in memory,
        where the vectors of that one stay until `rest`."""
        with self.lock:
            coming = self.resident_of(model)
            self.store.use_model(model.identity, model.name, model.dim, keep=keep)
            self._residents = self._residents.exchanged(self.store.model, coming)
            self.commits += 1
            self.changed.set()

    @property
    def renewed(self) -> Renewed | None:
        """What the store was lately made anew of, if it was."""
        renewed, when = self._renewed
        return renewed if time.monotonic() - when < LATELY_S else None

    def counts(self) -> Counts:
        """Those of the store, or where it cannot be read the last that could."""
        began = time.monotonic()
        with suppress(StoreError):
            self._counts = self.store.counts()
        now = time.monotonic()
        self._counted_until = now + COUNTING_SHARE * (now - began)
        return self._counts

    def recent_counts(self) -> Counts:
        """Those of a moment ago, where it would take long to count again: after each commit it does."""
        return self._counts if time.monotonic() < self._counted_until else self.counts()

    def root_counts(self) -> dict[bytes, Tally]:
        """The same of each root."""
        with suppress(StoreError):
            self._root_counts = self.store.root_counts()
        return self._root_counts

    def commit(self, changes: Sequence[Change]) -> Committed:
        """One transaction, and then the same in memory."""
        with self.lock:
            committed = self.store.commit(changes, time.time())
            self.commits += 1
            self.hide(committed.hidden)
            if committed.added:
                ids = np.array([added.picture for added in committed.added], np.int64)
                self.resident.add(ids, np.stack([added.vector for added in committed.added]))
            self._residents.add(committed.beside)
            self.show(committed.shown)
            self.changed.set()
            if come := [added.picture for added in committed.added] + committed.shown:
                self.tell_shown(come)
            if committed.arrived is not None:
                self.arrived = committed.arrived
                self.tell_arrival()
            return committed

    def hide(self, pictures: Collection[int]) -> None:
        """No file shows these pictures any more."""
        for resident in self._residents:
            resident.remove(pictures)

    def show(self, pictures: Sequence[int]) -> None:
        """Files show these pictures again; their vectors are in the store."""
        if pictures:
            put(self.resident, self.store.vectors(pictures))
            for model, resident in self._residents.beside():
                put(resident, self.store.vectors(pictures, model))

    def _mend(
        self, model: Model, resident: Resident, pictures: Sequence[int]
    ) -> dict[int, np.ndarray]:
        """Takes the vectors of these pictures out of the store, and no longer out of the cache, which
        has lost them; what the store has of them."""
        log.warning("the cache has lost %d vectors: they are taken out of the index", len(pictures))
        vectors = self.store.vectors(pictures, model)
        # Whoever holds it for long will not let a search wait: it is mended another time then.
        if self.lock.acquire(timeout=1.0):
            try:
                held = resident.held(pictures)
                vectors = self.store.vectors(pictures, model)
                resident.remove([picture for picture in held if picture not in vectors])
                put(resident, {picture: vectors[picture] for picture in held if picture in vectors})
            finally:
                self.lock.release()
        return vectors

    def _bound(self, model: Model, resident: Resident) -> Resident:
        """What is missing in it comes out of that model's vectors, whichever is in use by then."""
        resident.mend_by(lambda pictures: self._mend(model, resident, pictures))
        return resident

    def strays(self) -> int:
        """How many vectors in memory are not those of the store, or are not there."""
        with self.lock:
            # Both of one moment; what is read of each stays as it is.
            blocks = self.store.resident()
            first = list(islice(blocks, 1))
            memory = self.resident.snapshot()
        there = dict(
            zip(memory.ids[memory.alive].tolist(), np.flatnonzero(memory.alive), strict=True)
        )
        strays = 0
        for block in chain(first, blocks):
            rows = np.array([there.pop(each, -1) for each in block.ids.tolist()], np.intp)
            known = rows >= 0
            same = (memory.vectors[rows[known]] == block.vectors[known]).all(axis=1)
            strays += len(rows) - int(np.count_nonzero(same))
            # Of those the store has none to compare with.
            for each in block.damaged:
                there.pop(each, None)
        return strays + len(there)

    def repair(self) -> None:
        """Makes anew what can be derived, in the store and in memory."""
        with self.lock:
            self.store.repair()
            cache.remove(self.store)
            self._load()

    def renew(self) -> None:
        """Puts a sound store in the place of a damaged one, and its vectors in memory. Pictures keep
        their numbers: no search that is under way finds another than it meant."""
        with self.lock:
            renewed = self.store.renew()
            self._load()
            self.arrived = self.store.last_arrival()
            self._renewed = (renewed, time.monotonic())
            self.renewals += 1
            tell(renewed)

    def make_writable(self) -> None:
        """Raises StoreFull where there is still no space. What was only in the log comes to light."""
        with self.lock:
            self.store.make_writable()
            self._load()
            self.full = None

    def _load(self) -> None:
        model, others = self.store.model, self._residents.beside()
        residents = Residents(self._bound(model, loaded(self.store)), model)
        for other, _ in others:
            residents = residents.with_other(other, self._bound(other, read(self.store, other)))
        self._residents = residents
        self.changed.set()


def tell(renewed: Renewed) -> None:
    log.error(
        "a new index is made, with %d folders and %d pictures of the old one; that is kept as %s",
        renewed.roots,
        renewed.pictures,
        renewed.aside,
    )
