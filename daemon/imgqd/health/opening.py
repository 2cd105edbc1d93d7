"""The index as a start finds it: sound, damaged, or on a disk that is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from imgq.errors import StoreDamaged, StoreError, StoreFull
from imgqd.index import Index, tell
from imgqd.search import cache
from imgqd.search.loading import loaded
from imgqd.store import Store
from imgqd.store.database import place

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.models.card import Card
    from imgqd.store.records import Renewed

log = logging.getLogger(__name__)


def open_index(path: Path, choose: Callable[[Store], Card]) -> Index:
    """The store, and its vectors in memory, by the model that `choose` names when it sees the store.

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
        tell(renewed)
    except StoreFull as error:
        log.error("%s; searching goes on with what is known", error.message)
        store, full = _for_reading(path, decoder, error), error
    try:
        index = _in_memory(store, choose, ahead, renewed)
    except StoreDamaged as error:
        # Of a large one not all was checked.
        if renewed is not None or full is not None:
            raise
        log.error("%s", error.message)
        store, renewed = Store.open_anew(path, decoder)
        tell(renewed)
        index = _in_memory(store, choose, ahead, renewed)
    index.full = full
    return index


def _in_memory(
    store: Store, choose: Callable[[Store], Card], ahead: cache.Ahead, renewed: Renewed | None
) -> Index:
    """The store is closed where it cannot be."""
    try:
        card = choose(store)
        store.use_model(card.identity, card.name, card.dim)
        return Index(store, loaded(store, ahead), renewed)
    except BaseException:
        store.close()
        raise


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
