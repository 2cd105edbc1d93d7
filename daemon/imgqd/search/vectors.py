"""The vectors themselves, by row: the first ones lie in the cache's file, the others in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from imgqd.search.rows import Rows

Vectors = NDArray[np.float32]
AT_ONCE = 4096


class VectorFile(Protocol):
    """Vectors that are read when they are needed."""

    def read(self, places: Rows) -> Vectors:
        """float32 (n, dim), of those places; NaN where what is read is not what was written."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Row n is at place places[n] of the file, and behind those at n - len(places) of the tail,
    float32 (m, dim)."""

    tail: Vectors
    places: Rows
    file: VectorFile | None = None

    def __len__(self) -> int:
        return len(self.places) + len(self.tail)

    def __getitem__(self, rows: Rows) -> Vectors:
        """float32 (n, dim); NaN for a row whose vector the file has no more."""
        if self.file is None:
            return self.tail.take(rows, axis=0)
        found = np.empty((len(rows), self.tail.shape[1]), np.float32)
        is_filed = rows < len(self.places)
        found[is_filed] = self.file.read(self.places[rows[is_filed]])
        found[~is_filed] = self.tail[rows[~is_filed] - len(self.places)]
        return found

    def blocks(self, start: int = 0) -> Iterator[Vectors]:
        """The rows from start on, so many at a time."""
        for first in range(start, len(self), AT_ONCE):
            yield self[np.arange(first, min(first + AT_ONCE, len(self)))]
