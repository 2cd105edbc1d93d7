"""The store and the resident vectors as one: what a commit changes on disk changes in memory, too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreDamaged
from imgqd.search.resident import Resident
from imgqd.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.models.card import Card
    from imgqd.records import Change
    from imgqd.store.records import Committed

log = logging.getLogger(__name__)


class Index:
    """The one place that writes.

    `lock` makes a look at the disk and the commit that follows from it one step: held by whoever
    compares a folder with its rows, and by whoever records what was read of a file.
    """

    def __init__(self, store: Store, resident: Resident, damaged: Path | None = None) -> None:
        """damaged: where the index lies that this one was made in place of, if any."""
        self.lock = threading.RLock()
        self.store = store
        self.resident = resident
        self.damaged = damaged

    def commit(self, changes: Sequence[Change]) -> Committed:
        """One transaction, and then the same in memory."""
        with self.lock:
            committed = self.store.commit(changes, time.time())
            self.hide(committed.hidden)
            if committed.added:
                ids = np.array([added.picture for added in committed.added], np.int64)
                self.resident.add(ids, np.stack([added.vector for added in committed.added]))
            self.show(committed.shown)
            return committed

    def hide(self, pictures: Iterable[int]) -> None:
        """No file shows these pictures any more."""
        self.resident.remove(pictures)

    def show(self, pictures: Sequence[int]) -> None:
        """Files show these pictures again; their vectors are in the store."""
        vectors = self.store.vectors(pictures) if pictures else {}
        if vectors:
            self.resident.add(np.array(list(vectors), np.int64), np.stack(list(vectors.values())))


def open_index(path: Path, card: Card) -> Index:
    """The store, and its vectors by this model in memory. A store that is not sound is moved aside,
    and a new one made, with what could be had out of it."""
    decoder = ", ".join(_decoders())
    aside: Path | None = None
    try:
        store = Store.open(path, decoder)
    except StoreDamaged as error:
        store, renewed = Store.open_anew(path, decoder)
        aside = renewed.aside
        log.error(
            "%s; a new index is made, with %d folders and %d pictures of the old one, kept as %s",
            error.message,
            renewed.roots,
            renewed.pictures,
            aside,
        )
    store.use_model(card.identity, card.name, card.dim)
    return Index(store, loaded(store), aside)


def _decoders() -> Iterator[str]:
    """With another set of them, pictures that were refused are tried again."""
    for package in ("pillow", "pillow-heif", "pillow-jxl-plugin", "rawpy"):
        with suppress(PackageNotFoundError):
            yield f"{package} {version(package)}"


def loaded(store: Store) -> Resident:
    """The vectors of the store, in memory; those that are not sound are forgotten."""
    resident = Resident(store.model.dim)
    damaged: list[int] = []
    for block in store.resident():
        resident.add(block.ids, block.vectors)
        damaged += block.damaged
    store.forget_embeddings(damaged)
    return resident
