"""Checksums: SQLite's own checks do not look into a vector, and none of them knows whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xxhash

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH = 16  # bytes


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
