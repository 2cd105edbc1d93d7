"""Checksums: SQLite's own checks do not look into a vector, and none of them knows whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

HASH = 16  # bytes
# what a damaged row may hold in their place is no obstacle
COLUMNS = "picture, CAST(hash AS BLOB), CAST(checksum AS INTEGER)"
SUM = np.dtype([("picture", np.int64), ("hash", f"V{HASH}"), ("checksum", np.int64)])


class Sums:
    """What is known of a model's vectors: whose they are, and their checksums.

    rows: COLUMNS, by ascending picture.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._known = np.fromiter(rows, SUM)
        self._missing = np.ones(len(self._known), bool)

    @property
    def pictures(self) -> list[int]:
        found: list[int] = self._known["picture"].tolist()
        return found

    @property
    def missing(self) -> list[int]:
        """The pictures whose vector has not been found."""
        found: list[int] = self._known["picture"][self._missing].tolist()
        return found

    def sound(
        self, ids: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of those ids (n,) and vectors (n, dim) the pairs whose checksum holds, each but once, here
        and at any later call: a damaged table may hold one twice."""
        places = np.searchsorted(self._known["picture"], ids)
        open = places < len(self._known)
        open[open] = self._known["picture"][places[open]] == ids[open]
        open[open] = self._missing[places[open]]
        ids, vectors, known = ids[open], vectors[open], self._known[places[open]]
        good = np.flatnonzero(checksums(known["hash"], vectors) == known["checksum"])
        places, first = np.unique(places[open][good], return_index=True)
        self._missing[places] = False
        good = good[first]
        if len(good) == len(ids):
            return ids, vectors
        return ids[good], vectors[good]


def sum_of(data: bytes | memoryview) -> int:
    """XXH3-64, as SQLite's signed integer."""
    value: int = xxhash.xxh3_64_intdigest(data)
    return value - (1 << 64) if value >> 63 else value


def checksum(hash: bytes, vector: NDArray[np.float32]) -> int:
    """Of a picture's hash and its vector (dim,), together."""
    return sum_of(hash + vector.tobytes())


def checksums(hashes: NDArray[np.void], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The same of many at once: hashes V16, (n,); vectors float32, (n, dim)."""
    count, dim = vectors.shape
    whole = np.empty((count, HASH + 4 * dim), np.uint8)
    whole[:, :HASH] = np.ascontiguousarray(hashes).view(np.uint8).reshape(count, HASH)
    whole[:, HASH:] = np.ascontiguousarray(vectors).view(np.uint8)
    return np.fromiter((sum_of(row.data) for row in whole), np.int64, count)
