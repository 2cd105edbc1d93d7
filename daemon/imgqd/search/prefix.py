"""A short look at every vector: its int8 coordinates along the directions in which vectors vary most.

A scan of these reads a fraction of what a scan of all codes reads, and tells which rows are worth a
longer look. Directions are the principal components of a sample. Scores along them alone are no more
than an order: what is left out of a picture is small, what is left out of a text's vector is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numkong
import numpy as np

from imgqd.search.codes import MOST, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from imgqd.search.rows import Rows
    from imgqd.search.vectors import Kept, Vectors

# Kernels take so many places in one step.
GRAIN = 64
# Directions are taken until they hold this share of the variance.
SHARE = 0.7
SAMPLE = 16_384
# It is told anew from a larger sample where there are so many times as many vectors.
OUTGROWN = 8
# Scores that are made at a time, of all queries together.
_SCORES = 1 << 24


@dataclass(frozen=True, slots=True)
class Directions:
    """mean: float32 (dim,); axes: float32 (dim, p); step: what 1 stands for. trained: on how many."""

    mean: Vectors
    axes: Vectors
    step: float
    trained: int

    def along(self, vectors: Vectors) -> NDArray[np.int8]:
        """int8 (n, p) of float32 (n, dim)."""
        made = (vectors - self.mean) @ self.axes / np.float32(self.step)
        return np.rint(np.clip(np.nan_to_num(made), -MOST, MOST)).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first rows, `count` of them, as blocks that a kernel reads."""

    directions: Directions
    blocks: tuple[Any, ...]
    count: int

    def extended(self, along: NDArray[np.int8]) -> Prefix:
        """With the rows behind it, as their directions tell them: int8 (n, p)."""
        block = numkong.dots_pack(along, "int8")
        return Prefix(self.directions, (*self.blocks, block), self.count + len(along))

    def scores(self, queries: Vectors) -> Iterator[NDArray[np.int32]]:
        """How the rows stand to each other, int32 (count,), by each query, float32 (m, dim): higher
        is nearer."""
        asked = encode(queries @ self.directions.axes).values
        group = max(_SCORES // max(self.count, 1), 1)
        for start in range(0, len(asked), group):
            some = asked[start : start + group]
            made = [np.asarray(numkong.dots_packed(some, block)) for block in self.blocks]
            yield from made[0] if len(made) == 1 else np.concatenate(made, axis=1)


def prefix(vectors: Kept) -> Prefix | None:
    """Of all these rows; None where a few directions do not tell enough."""
    sample = vectors[sampled(len(vectors))]
    # Those that were dead when the cache was written are in it no more, and would spoil all the others.
    sample = sample[~np.isnan(sample[:, 0])]
    found = directions(sample, len(vectors)) if len(sample) else None
    return None if found is None else extended(Prefix(found, (), 0), vectors)


def extended(known: Prefix, vectors: Kept) -> Prefix:
    """The prefix with all rows there are."""
    rows = len(vectors) - known.count
    along = np.empty((rows, known.directions.axes.shape[1]), np.int8)
    at = 0
    for block in vectors.blocks(known.count):
        along[at : at + len(block)] = known.directions.along(block)
        at += len(block)
    return known.extended(along)


def sampled(count: int) -> Rows:
    """Rows of so many, evenly."""
    return np.arange(0, count, max(count // SAMPLE, 1))


def directions(sample: Vectors, trained: int) -> Directions | None:
    """Those in which float32 (n, dim), a sample of `trained` vectors, vary most; None where more than
    half of all would be needed."""
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    sample = sample - mean
    variances, axes = np.linalg.eigh(sample.T @ sample / len(sample))
    held = np.cumsum(variances[::-1]) / variances.sum()
    count = -(-(int(np.searchsorted(held, SHARE)) + 1) // GRAIN) * GRAIN
    if not count <= len(mean) // 2:
        return None
    chosen = np.ascontiguousarray(axes[:, ::-1][:, :count])
    return Directions(mean, chosen, float(np.abs(sample @ chosen).max()) / MOST, trained)
