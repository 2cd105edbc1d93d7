"""The vectors of every picture that some file shows, in memory, for searching."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgqd.search.codes import Codes, encode
from imgqd.search.prefix import OUTGROWN, Prefix, prefix

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Vectors = npt.NDArray[np.float32]

_FIRST_ROWS = 1024
# From so many rows on there is a prefix, and it leaves out the latest of them at most, by this share.
_PREFIXED = 32_768
_LATEST = 1 / 16
# Ids that leave out more numbers than this are looked up by sorting.
_SPARSE = 64
# Up to this share of the rows their codes are gathered, above it all are scanned.
FEW = 1 / 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows may be found, `count` of them: where they are few these rows, else all but these."""

    count: int
    few: bool
    rows: Rows


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one search looks at: ids int64 (n,), vectors float32 (n, dim) and their codes, alive bool
    (n,), and the prefix of the first rows, where there are enough of them.

    It stays as it is: rows are only ever added behind it, and marked dead in a copy.
    """

    ids: Ids
    vectors: Vectors
    codes: Codes
    alive: npt.NDArray[np.bool_]
    prefix: Prefix | None

    def choose(self, allowed: Ids | None, left_out: Collection[int]) -> Choice:
        """The rows of the pictures that may be found; allowed: None for all that are alive."""
        eligible = self.alive
        if allowed is not None:
            eligible = eligible & _among(self.ids, allowed)
        if left_out:
            eligible = eligible & ~_among(self.ids, np.array(sorted(left_out), np.int64))
        count = int(np.count_nonzero(eligible))
        few = count < FEW * len(self.ids)
        return Choice(count, few, np.flatnonzero(eligible if few else ~eligible))


class Resident:
    """One writer at a time adds and removes; any number of readers take snapshots meanwhile."""

    def __init__(self, dim: int) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, int] = {}
        self._dead = 0
        self._count = 0
        self._ids = np.zeros(_FIRST_ROWS, np.int64)
        self._vectors = np.zeros((_FIRST_ROWS, dim), np.float32)
        self._codes = Codes(
            np.zeros((_FIRST_ROWS, dim), np.int8), np.zeros(_FIRST_ROWS, np.float32)
        )
        self._alive = np.zeros(_FIRST_ROWS, np.bool_)
        self._prefix: Prefix | None = None
        self._prefix_due = _PREFIXED
        self._snapshot = self._seen()

    def __len__(self) -> int:
        return len(self._rows)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Makes pictures findable; those that are already keep their place with the new vector.

        ids: int64 (n,), each once; vectors: float32 (n, dim), unit norm.
        """
        codes = encode(vectors)
        with self._lock:
            self._bury(ids.tolist())
            self._reserve(len(ids))
            start, end = self._count, self._count + len(ids)
            self._ids[start:end], self._vectors[start:end] = ids, vectors
            self._codes.values[start:end], self._codes.steps[start:end] = codes.values, codes.steps
            self._alive[start:end] = True
            self._rows.update(zip(ids.tolist(), range(start, end), strict=True))
            self._count = end
            if end >= self._prefix_due:
                self._put_prefix()
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
        if self._dead:
            # Rows have other numbers from now on.
            self._prefix, self._prefix_due = None, _PREFIXED
        living = np.flatnonzero(self._alive[: self._count])
        capacity = max(capacity, _FIRST_ROWS)
        self._ids = _moved(self._ids, living, capacity)
        self._vectors = _moved(self._vectors, living, capacity)
        self._codes = Codes(
            _moved(self._codes.values, living, capacity),
            _moved(self._codes.steps, living, capacity),
        )
        self._alive = np.arange(capacity) < len(living)
        self._rows = dict(zip(self._ids[: len(living)].tolist(), range(len(living)), strict=True))
        self._count, self._dead = len(living), 0

    def _put_prefix(self) -> None:
        """Brings the prefix up to the last row."""
        known, vectors = self._prefix, self._vectors[: self._count]
        if known is not None and self._count < OUTGROWN * known.directions.trained:
            self._prefix = known.extended(vectors[known.count :])
        else:
            self._prefix = prefix(vectors)
        self._prefix_due = self._count + max(int(_LATEST * self._count), _PREFIXED // 4)

    def _seen(self) -> Snapshot:
        seen = slice(self._count)
        return Snapshot(
            self._ids[seen],
            self._vectors[seen],
            self._codes[seen],
            self._alive[seen],
            self._prefix,
        )


def _among(ids: Ids, some: Ids) -> npt.NDArray[np.bool_]:
    """Which of the ids, all positive, are among some: bool (n,)."""
    last = int(ids.max(initial=0))
    if last > _SPARSE * len(ids):
        found: npt.NDArray[np.bool_] = np.isin(ids, some)
        return found
    there = np.zeros(last + 1, np.bool_)
    there[some[(some >= 0) & (some <= last)]] = True
    return there[ids]


def _moved(array: npt.NDArray[Any], rows: Rows, capacity: int) -> npt.NDArray[Any]:
    """Those rows of it, in a new one with room for `capacity`."""
    moved = np.zeros((capacity, *array.shape[1:]), array.dtype)
    moved[: len(rows)] = array[rows]
    return moved
