"""The vectors of the store, taken into memory."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.search import cache
from imgqd.search.resident import Resident

if TYPE_CHECKING:
    from imgqd.store import Model, Store


def loaded(store: Store, ahead: cache.Ahead | None = None) -> Resident:
    """Those of the model in use, by the cache where that is of use."""
    if (known := cache.load(store, ahead)) is not None:
        return known
    return read(store, store.model)


def read(store: Store, model: Model) -> Resident:
    """Those of any model, out of the store alone; those that are not sound are forgotten."""
    resident = Resident(model.dim)
    damaged: list[int] = []
    for block in store.resident(model):
        resident.add(block.ids, block.vectors)
        damaged += block.damaged
    if damaged:
        # As good at another time, where the store cannot be written.
        with suppress(StoreError):
            store.forget_embeddings(damaged, model)
    return resident
