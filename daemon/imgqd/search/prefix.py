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
    from numpy.typing import NDArray

    from imgqd.search.codes import Vectors

# Kernels take so many places in one step.
GRAIN = 64
# Directions are taken until they hold this share of the variance.
SHARE = 0.7
SAMPLE = 16_384
# It is told anew from a larger sample where there are so many times as many vectors.
OUTGROWN = 8
_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Directions:
    """mean: float32 (dim,); axes: float32 (dim, p); step: what 1 stands for. trained: on how many."""

    mean: Vectors
    axes: Vectors
    step: float
    trained: int

    def along(self, vectors: Vectors) -> NDArray[np.int8]:
        """int8 (n, p) of float32 (n, dim)."""
        made = np.empty((len(vectors), self.axes.shape[1]), np.int8)
        for start in range(0, len(vectors), _AT_ONCE):
            some = (vectors[start : start + _AT_ONCE] - self.mean) @ self.axes
            made[start : start + _AT_ONCE] = np.rint(np.clip(some / self.step, -MOST, MOST))
        return made


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first rows, `count` of them, as blocks that a kernel reads."""

    directions: Directions
    blocks: tuple[Any, ...]
    count: int

    def extended(self, vectors: Vectors) -> Prefix:
        """With those of the rows behind it: float32 (n, dim)."""
        block = numkong.dots_pack(self.directions.along(vectors), "int8")
        return Prefix(self.directions, (*self.blocks, block), self.count + len(vectors))

    def scores(self, query: Vectors) -> NDArray[np.int32]:
        """How the rows stand to each other, int32 (count,), by a query (dim,): higher is nearer."""
        asked = encode((query @ self.directions.axes)[None]).values
        made: list[Any] = [numkong.dots_packed(asked, block) for block in self.blocks]
        return np.concatenate([np.asarray(each)[0] for each in made])


def prefix(vectors: Vectors) -> Prefix | None:
    """Of all these rows; None where a few directions do not tell enough."""
    found = directions(vectors)
    return None if found is None else Prefix(found, (), 0).extended(vectors)


def directions(vectors: Vectors) -> Directions | None:
    """Those in which float32 (n, dim) vary most; None where more than half of all would be needed."""
    sample = vectors[:: max(len(vectors) // SAMPLE, 1)]
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    sample = sample - mean
    variances, axes = np.linalg.eigh(sample.T @ sample / len(sample))
    held = np.cumsum(variances[::-1]) / variances.sum()
    count = -(-(int(np.searchsorted(held, SHARE)) + 1) // GRAIN) * GRAIN
    if not count <= len(mean) // 2:
        return None
    chosen = np.ascontiguousarray(axes[:, ::-1][:, :count])
    return Directions(mean, chosen, float(np.abs(sample @ chosen).max()) / MOST, len(vectors))
