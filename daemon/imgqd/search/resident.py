"""The vectors of every picture that some file shows, as a search wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgqd.search.codes import Codes, encode
from imgqd.search.prefix import OUTGROWN, Prefix, extended, prefix
from imgqd.search.rows import Ids, Places, Rows
from imgqd.search.vectors import Kept, Vectors

if TYPE_CHECKING:
    from imgqd.search.segment import Records, Segment

# The dead of a small library are few, too: they take memory until they go.
_FIRST_ROWS = 256
# From so many rows on there is a prefix, and it leaves out the latest of them at most, by this share.
_PREFIXED = 32_768
_LATEST = 1 / 16
# Rows are made anew without the dead where these are more than such a share.
_MOST_DEAD = 1 / 4
# Up to this share of the rows their codes are gathered, above it all are scanned.
FEW = 1 / 8
# How far above the last that was taken the last of the best must stand; see `rank`.
DEEP = 16

Mend = Callable[[Sequence[int]], Mapping[int, Vectors]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows may be found, `count` of them: where they are few these rows, else all but these."""

    count: int
    few: bool
    rows: Rows


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one search looks at: ids int64 (n,), vectors (n, dim) and their codes, alive bool (n,), and
    the prefix of the first rows, where there are enough of them.

    It stays as it is: rows are only ever added behind it, and marked dead in a copy. deep: as in
    `rank`; moves: how often rows have got other numbers.
    """

    ids: Ids
    vectors: Kept
    codes: Codes
    alive: npt.NDArray[np.bool_]
    places: Places
    prefix: Prefix | None
    deep: int
    mend: Mend
    moves: int

    def choose(self, allowed: Ids | None) -> Choice:
        """The rows of the pictures that may be found; allowed: None for all that are alive."""
        eligible = self.alive
        if allowed is not None:
            eligible = np.zeros(len(self.ids), np.bool_)
            eligible[self.places.find(self.ids, allowed)] = True
            eligible &= self.alive
        count = int(np.count_nonzero(eligible))
        few = count < FEW * len(self.ids)
        return Choice(count, few, np.flatnonzero(eligible if few else ~eligible))

    def exact(self, rows: Rows) -> Vectors:
        """The vectors of those rows, float32 (n, dim). What the cache has no more comes out of the
        store, and is not a number where that has none either."""
        found = self.vectors[rows]
        lost = np.flatnonzero(np.isnan(found[:, 0])) if found.shape[1] else ()
        if len(lost):
            ids = self.ids[rows[lost]].tolist()
            sound = self.mend(ids)
            for place, id in zip(lost, ids, strict=True):
                found[place] = sound.get(id, np.nan)
        return found


class Resident:
    """One writer at a time adds and removes; any number of readers take snapshots meanwhile.

    changes: how many rows have come or gone.
    """

    def __init__(self, dim: int) -> None:
        self._mend: Mend = lambda ids: {}
        self._lock = threading.Lock()
        self._dead = self._count = self._moves = 0
        self.changes = 0
        self._file: Records | None = None
        self._file_places = np.empty(0, np.intp)
        self._ids = np.zeros(_FIRST_ROWS, np.int64)
        self._tail = np.zeros((_FIRST_ROWS, dim), np.float32)
        self._codes = Codes(
            np.zeros((_FIRST_ROWS, dim), np.int8), np.zeros(_FIRST_ROWS, np.float32)
        )
        self._alive = np.zeros(_FIRST_ROWS, np.bool_)
        self._places = Places.of(self._ids[:0])
        self._prefix: Prefix | None = None
        self._prefix_due = _PREFIXED
        self._deep = DEEP
        self._snapshot = self._seen()

    @classmethod
    def restored(cls, segment: Segment, living: Rows) -> Resident:
        """The living rows of a segment; each id is there but once among them."""
        resident = cls(segment.codes.values.shape[1])
        count = resident._count = segment.count
        resident._ids, resident._codes = segment.ids, segment.codes
        resident._alive = np.zeros(len(segment.ids), np.bool_)
        resident._alive[living] = True
        resident._dead = count - len(living)
        resident._places = Places.of(segment.ids[:count])
        resident._file, resident._file_places = segment.vectors, np.arange(count)
        resident._tail = resident._tail_of(resident._tail[:0])
        if segment.prefix is not None:
            resident._put_prefix(segment.prefix, segment.prefix.count)
        resident._snapshot = resident._seen()
        return resident

    def __len__(self) -> int:
        return self._count - self._dead

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def mend_by(self, mend: Mend) -> None:
        """Says what brings a vector that the file has no more out of the store, for good; it tells
        what it found."""
        with self._lock:
            self._mend = mend
            self._snapshot = self._seen()

    def held(self, ids: Sequence[int]) -> list[int]:
        """Those of the ids that can be found."""
        seen = self._snapshot
        rows = seen.places.find(seen.ids, np.array(ids, np.int64))
        found: list[int] = np.unique(seen.ids[rows[seen.alive[rows]]]).tolist()
        return found

    @property
    def is_unrefined(self) -> bool:
        """Whether there is something for `refine` to do."""
        return self._count >= self._prefix_due

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Makes pictures findable; those that are already keep their place with the new vector.

        ids: int64 (n,), each once; vectors: float32 (n, dim), unit norm.
        """
        codes = encode(vectors)
        with self._lock:
            self._bury(ids)
            self._reserve(len(ids))
            start, end = self._count, self._count + len(ids)
            filed = len(self._file_places)
            self._ids[start:end] = ids
            self._tail[start - filed : end - filed] = vectors
            self._codes.values[start:end], self._codes.steps[start:end] = codes.values, codes.steps
            self._alive[start:end] = True
            self._places = self._places.with_rows(self._ids[:end], start)
            self._count = end
            self.changes += len(ids)
            self._snapshot = self._seen()

    def remove(self, ids: Iterable[int]) -> None:
        """Pictures can be found no longer; unknown ones are no matter."""
        with self._lock:
            self._bury(np.fromiter(ids, np.int64))
            if self._dead > _FIRST_ROWS and self._dead > self._count * _MOST_DEAD:
                self._leave_dead()
            self._snapshot = self._seen()

    def refine(self) -> None:
        """Brings the prefix up to the last row, if it is time. Takes seconds where there are a
        million; whoever adds or searches meanwhile waits for nothing."""
        while self.is_unrefined:
            seen = self.snapshot()
            known, count = seen.prefix, len(seen.ids)
            if known is not None and count < OUTGROWN * known.directions.trained:
                made: Prefix | None = extended(known, seen.vectors)
            else:
                made = prefix(seen.vectors)
            with self._lock:
                if seen.moves == self._moves:
                    self._put_prefix(made, count)

    def rely_on(self, file: Records, snapshot: Snapshot) -> bool:
        """Has the vectors of a snapshot read from a file that holds them by row, which gives their
        memory back; False where the rows have moved since, or the file lacks one."""
        count = len(snapshot.ids)
        with self._lock:
            if snapshot.moves != self._moves or not file.sums[self._alive[:count]].all():
                return False
            tail = self._tail[count - len(self._file_places) : self._count - len(self._file_places)]
            self._file, self._file_places = file, np.arange(count)
            self._tail = self._tail_of(tail)
            self._snapshot = self._seen()
            return True

    def widen(self) -> int:
        """Has searches look deeper behind the prefix, for one that misses too many; how deep now."""
        with self._lock:
            self._deep *= 2
            self._snapshot = self._seen()
            return self._deep

    def _put_prefix(self, made: Prefix | None, count: int) -> None:
        self._prefix = made
        self._prefix_due = count + max(int(_LATEST * count), _PREFIXED // 4)
        self._snapshot = self._seen()

    def _bury(self, ids: Ids) -> None:
        rows = self._places.find(self._ids[: self._count], ids)
        rows = rows[self._alive[rows]]
        if len(rows):
            self._alive = self._alive.copy()
            self._alive[rows] = False
            # One that is told twice dies once.
            self._dead = self._count - int(np.count_nonzero(self._alive[: self._count]))
            self.changes += len(rows)

    def _reserve(self, more: int) -> None:
        if self._count + more <= len(self._ids):
            return
        if self._dead > self._count * _MOST_DEAD:
            self._leave_dead(more)
        else:
            self._move(np.arange(self._count), 2 * (self._count + more))

    def _leave_dead(self, more: int = 0) -> None:
        """The living alone, in other rows than before."""
        living = np.flatnonzero(self._alive[: self._count])
        self._prefix, self._prefix_due = None, _PREFIXED
        self._moves += 1
        self._move(living, 2 * (len(living) + more))
        self._places = Places.of(self._ids[: len(living)])
        self._count, self._dead = len(living), 0

    def _move(self, rows: Rows, capacity: int) -> None:
        """Those rows into new arrays: those who read the old ones go on with them."""
        capacity = max(capacity, _FIRST_ROWS)
        filed = len(self._file_places)
        in_file, in_tail = rows[rows < filed], rows[rows >= filed] - filed
        self._ids = _moved(self._ids, rows, capacity)
        self._codes = Codes(
            _moved(self._codes.values, rows, capacity), _moved(self._codes.steps, rows, capacity)
        )
        self._alive = _moved(self._alive, rows, capacity)
        self._tail = _moved(self._tail, in_tail, capacity - len(in_file))
        self._file_places = self._file_places[in_file]

    def _tail_of(self, vectors: Vectors) -> Vectors:
        """These, with room for as many as there is room for ids."""
        room = len(self._ids) - len(self._file_places)
        return _moved(vectors, np.arange(len(vectors)), room)

    def _seen(self) -> Snapshot:
        seen = slice(self._count)
        filed = len(self._file_places)
        return Snapshot(
            self._ids[seen],
            Kept(self._tail[: self._count - filed], self._file_places, self._file),
            self._codes[seen],
            self._alive[seen],
            self._places,
            self._prefix,
            self._deep,
            self._mend,
            self._moves,
        )


def _moved(array: npt.NDArray[Any], rows: Rows, capacity: int) -> npt.NDArray[Any]:
    """Those rows of it, in a new one with room for `capacity`."""
    moved = np.zeros((capacity, *array.shape[1:]), array.dtype)
    np.take(array, rows, axis=0, out=moved[: len(rows)], mode="clip")
    return moved
