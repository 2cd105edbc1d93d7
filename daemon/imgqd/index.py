"""The store and the resident vectors as one: what a commit changes on disk changes in memory, too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreDamaged, StoreError, StoreFull
from imgqd.search import cache
from imgqd.search.resident import Resident
from imgqd.store import Counts, Store, Tally, place

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.models.card import Card
    from imgqd.records import Change
    from imgqd.store.records import Committed, Renewed

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
        self.resident = resident
        self.full: StoreFull | None = None
        self.commits = self.renewals = 0
        # The last picture that arrived and can be found, and who wants to know of the next.
        self.arrived = store.last_arrival()
        self.tell_arrival: Callable[[], None] = lambda: None
        self._renewed = (renewed, time.monotonic())
        self._counts = Counts()
        self._counted_until = 0.0
        self._root_counts: dict[bytes, Tally] = {}
        resident.mend_by(self.mend)

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
            self.show(committed.shown)
            self.changed.set()
            if committed.arrived is not None:
                self.arrived = committed.arrived
                self.tell_arrival()
            return committed

    def hide(self, pictures: Iterable[int]) -> None:
        """No file shows these pictures any more."""
        self.resident.remove(pictures)

    def show(self, pictures: Sequence[int]) -> None:
        """Files show these pictures again; their vectors are in the store."""
        vectors = self.store.vectors(pictures) if pictures else {}
        if vectors:
            self.resident.add(np.array(list(vectors), np.int64), np.stack(list(vectors.values())))

    def mend(self, pictures: Sequence[int]) -> dict[int, np.ndarray]:
        """Takes the vectors of these pictures out of the store, and no longer out of the cache, which
        has lost them; what the store has of them."""
        log.warning("the cache has lost %d vectors: they are taken out of the index", len(pictures))
        vectors = self.store.vectors(pictures)
        # Whoever holds it for long will not let a search wait: it is mended another time then.
        if self.lock.acquire(timeout=1.0):
            try:
                held = self.resident.held(pictures)
                vectors = self.store.vectors(pictures)
                self.hide(picture for picture in held if picture not in vectors)
                self.show([picture for picture in held if picture in vectors])
            finally:
                self.lock.release()
        return vectors

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
            _tell(renewed)

    def make_writable(self) -> None:
        """Raises StoreFull where there is still no space. What was only in the log comes to light."""
        with self.lock:
            self.store.make_writable()
            self._load()
            self.full = None

    def _load(self) -> None:
        resident = loaded(self.store)
        resident.mend_by(self.mend)
        self.resident = resident
        self.changed.set()


def open_index(path: Path, card: Card) -> Index:
    """The store, and its vectors by this model in memory.

    One that is not sound is moved aside, and a new one made with what could be had out of it. Where the
    disk is full it is opened for reading alone, and `Index.full` tells.
    """
    decoder = ", ".join(_decoders())
    renewed: Renewed | None = None
    full: StoreFull | None = None
    ahead = cache.Ahead(place.true_path(path))
    try:
        store = Store.open(path, decoder)
    except StoreDamaged as error:
        log.error("%s", error.message)
        store, renewed = Store.open_anew(path, decoder)
        _tell(renewed)
    except StoreFull as error:
        log.error("%s; searching goes on with what is known", error.message)
        store, full = _for_reading(path, decoder, error), error
    store.use_model(card.identity, card.name, card.dim)
    index = Index(store, loaded(store, ahead), renewed)
    index.full = full
    return index


def _for_reading(path: Path, decoder: str, full: StoreFull) -> Store:
    try:
        return Store.open(path, decoder, immutable=True)
    except StoreError:
        raise full from None


def _decoders() -> Iterator[str]:
    """With another set of them, pictures that were refused are tried again."""
    for package in ("pillow", "pillow-heif", "pillow-jxl-plugin", "rawpy"):
        with suppress(PackageNotFoundError):
            yield f"{package} {version(package)}"


def loaded(store: Store, ahead: cache.Ahead | None = None) -> Resident:
    """The vectors of the store, in memory, by the cache where that is of use; those that are not sound
    are forgotten."""
    if (known := cache.load(store, ahead)) is not None:
        return known
    resident = Resident(store.model.dim)
    damaged: list[int] = []
    for block in store.resident():
        resident.add(block.ids, block.vectors)
        damaged += block.damaged
    if damaged:
        # As good at another time, where the store cannot be written.
        with suppress(StoreError):
            store.forget_embeddings(damaged)
    return resident


def _tell(renewed: Renewed) -> None:
    log.error(
        "a new index is made, with %d folders and %d pictures of the old one; that is kept as %s",
        renewed.roots,
        renewed.pictures,
        renewed.aside,
    )
