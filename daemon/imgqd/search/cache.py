"""The cache beside the index: the vectors in memory as they were, so that a start need not make them anew.

It is derived, and believed in nothing that the store does not say too: which pictures there are, and the
checksum of each vector. Whatever is missing or different comes out of the store.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from imgqd.search import segment, segment_writing
from imgqd.search.resident import Resident

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from imgqd.search.resident import Snapshot
    from imgqd.search.rows import Ids, Rows
    from imgqd.search.segment import Records, Segment
    from imgqd.store import Model, Store

log = logging.getLogger(__name__)

# Fewer are read out of the store as fast.
LEAST = 4096
# Where more than this share is missing, all is read out of the store.
MOST_MISSING = 1 / 8
_AT_ONCE = 1000
_NONE = np.empty(0, np.int64)
# It takes no more than this share of what is free on the disk.
_SHARE = 1 / 2


def path_of(database: Path) -> Path:
    return database.with_name(database.name + ".cache")


def size(store: Store) -> int:
    """Bytes on disk."""
    with suppress(OSError):
        return os.stat(path_of(store.path)).st_size
    return 0


def remove(store: Store) -> None:
    """What lies there is not to be relied on."""
    with suppress(OSError):
        path_of(store.path).unlink(missing_ok=True)


class Ahead(threading.Thread):
    """Reads the cache of a database that is being opened."""

    def __init__(self, database: Path) -> None:
        super().__init__(name="cache", daemon=True)
        self._path = path_of(database)
        self._found: Segment | None = None
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            # Of one who was killed over it.
            segment_writing.unfinished(self._path).unlink(missing_ok=True)
        self._found = segment.opened(self._path)

    def found(self) -> Segment | None:
        """What was read, told once."""
        self.join()
        found, self._found = self._found, None
        return found


def load(store: Store, ahead: Ahead | None = None) -> Resident | None:
    """The vectors as the cache and the store together tell them; None where the cache is of no use."""
    ahead = ahead or Ahead(store.path)
    # Both take their time, side by side.
    pictures, checksums = store.checksums() if size(store) else (_NONE, _NONE)
    found = ahead.found()
    if found is None or found.key != _key(store, store.model):
        return None
    rows, is_there = _matched(found, pictures, checksums)
    missing = pictures[~is_there].tolist()
    if len(missing) > max(LEAST, len(pictures) * MOST_MISSING):
        return None
    resident = Resident.restored(found, rows)
    for start in range(0, len(missing), _AT_ONCE):
        vectors = store.vectors(missing[start : start + _AT_ONCE])
        if vectors:
            resident.add(np.array(list(vectors), np.int64), np.stack(list(vectors.values())))
    log.info("%d vectors are as the cache has them, %d are not", len(rows), len(missing))
    return resident


def save(
    store: Store, snapshot: Snapshot, known: NDArray[np.void], model: Model | None = None
) -> Records | None:
    """Writes the cache; None where it cannot be. known: `Store.sums` at the time of the snapshot; both of
    the model in use, unless one is named."""
    path, key = path_of(store.path), _key(store, model or store.model)
    try:
        disk = os.statvfs(path.parent)
        if (
            segment_writing.shape_of(snapshot).size(key.dim)
            > disk.f_bavail * disk.f_frsize * _SHARE
        ):
            return None
        return segment_writing.write(path, key, snapshot, known)
    except OSError as error:
        log.warning("the cache %s cannot be written: %s", path, error.strerror)
        return None


def _key(store: Store, model: Model) -> segment.Key:
    return segment.Key(store.origin.hex(), model.identity, model.dim)


def _matched(
    found: Segment, pictures: Ids, checksums: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.bool_]]:
    """The rows of which the store says the same; and which of what it knows they are."""
    sums = found.vectors.sums
    living = np.flatnonzero(sums)
    at = np.searchsorted(pictures, found.ids[living])
    is_known = at < len(pictures)
    living, at = living[is_known], at[is_known]
    same = (pictures[at] == found.ids[living]) & (checksums[at] == sums[living])
    is_there = np.zeros(len(pictures), np.bool_)
    is_there[at[same]] = True
    return living[same], is_there
