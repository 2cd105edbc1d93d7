"""The vectors of every picture that some file shows, in memory, for searching."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_FIRST_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one search looks at: ids int64 (n,), vectors float32 (n, dim), alive bool (n,).

    It stays as it is: rows are only ever added behind it, and marked dead in a copy.
    """

    ids: Ids
    vectors: Vectors
    alive: npt.NDArray[np.bool_]


class Resident:
    """One writer at a time adds and removes; any number of readers take snapshots meanwhile."""

    def __init__(self, dim: int) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, int] = {}
        self._dead = 0
        self._count = 0
        self._ids = np.zeros(_FIRST_ROWS, np.int64)
        self._vectors = np.zeros((_FIRST_ROWS, dim), np.float32)
        self._alive = np.zeros(_FIRST_ROWS, np.bool_)
        self._snapshot = self._seen()

    def __len__(self) -> int:
        return len(self._rows)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def load(self, chunks: Iterable[tuple[Ids, Vectors]]) -> None:
        """Adds everything; ids int64 (n,), vectors float32 (n, dim) a chunk."""
        for ids, vectors in chunks:
            self.add(ids, vectors)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Makes pictures findable; those that are already keep their place with the new vector."""
        with self._lock:
            self._bury(ids.tolist())
            self._reserve(len(ids))
            start, end = self._count, self._count + len(ids)
            self._ids[start:end], self._vectors[start:end] = ids, vectors
            self._alive[start:end] = True
            self._rows.update(zip(ids.tolist(), range(start, end), strict=True))
            self._count = end
            self._snapshot = self._seen()

    def remove(self, ids: Iterable[int]) -> None:
        """Pictures can be found no longer; unknown ones are no matter."""
        with self._lock:
            self._bury(ids)
            if self._dead > _FIRST_ROWS and self._dead > self._count // 4:
                self._move(len(self._rows))
            self._snapshot = self._seen()

    def _bury(self, ids: Iterable[int]) -> None:
        rows = [self._rows.pop(each) for each in ids if each in self._rows]
        if rows:
            self._alive = self._alive.copy()
            self._alive[rows] = False
            self._dead += len(rows)

    def _reserve(self, more: int) -> None:
        if self._count + more > len(self._ids):
            self._move(2 * (len(self._rows) + more))

    def _move(self, capacity: int) -> None:
        """Into new arrays, without the dead: those who read the old ones go on with them."""
        living = np.flatnonzero(self._alive[: self._count])
        count = len(living)
        ids = np.zeros(max(capacity, _FIRST_ROWS), np.int64)
        vectors = np.zeros((len(ids), self._vectors.shape[1]), np.float32)
        alive = np.zeros(len(ids), np.bool_)
        ids[:count], vectors[:count], alive[:count] = self._ids[living], self._vectors[living], True
        self._ids, self._vectors, self._alive = ids, vectors, alive
        self._rows = dict(zip(ids[:count].tolist(), range(count), strict=True))
        self._count, self._dead = count, 0

    def _seen(self) -> Snapshot:
        count = self._count
        return Snapshot(self._ids[:count], self._vectors[:count], self._alive[:count])
