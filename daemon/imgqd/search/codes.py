"""Vectors as int8 codes: a quarter of their size, and products of them at the speed of memory.

A code stands for its vector to within half a step in each place. So a product of codes is a score to
within an error of known size, and the vectors themselves are asked only where that decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numkong
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MOST = 127
# How many standard deviations a score may lie from its estimate.
SURE = 4.0
# Products that are made at a time, of all queries together.
_AT_ONCE = 1 << 24
# From so many queries on codes are packed, so many rows at a time.
_PACKED = 8
_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Codes:
    """values: int8 (n, dim); steps: float32 (n,). A row stands for the vector values * step."""

    values: NDArray[np.int8]
    steps: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, rows: slice) -> Codes:
        return Codes(self.values[rows], self.steps[rows])

    def take(self, rows: NDArray[np.intp]) -> Codes:
        return Codes(self.values.take(rows, axis=0), self.steps.take(rows))


@dataclass(frozen=True, slots=True)
class Estimates:
    """The scores of rows as their codes tell them, and how far off they may be: float32, (n,)."""

    scores: NDArray[np.float32]
    errors: NDArray[np.float32]

    def __getitem__(self, rows: NDArray[np.intp]) -> Estimates:
        return Estimates(self.scores[rows], self.errors[rows])

    def joined(self, others: Estimates) -> Estimates:
        return Estimates(
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.errors, others.errors]),
        )

    def best(self, top: int) -> NDArray[np.intp]:
        """Which rows may be among the `top` best, or equal the last of them; ascending."""
        if top >= len(self.scores):
            return np.arange(len(self.scores))
        least = self.scores - self.errors
        least.partition(len(least) - top)
        return np.flatnonzero(self.scores + self.errors >= least[len(least) - top])


def encode(vectors: Vectors) -> Codes:
    """The codes of float32 (n, dim)."""
    steps = np.abs(vectors).max(axis=1, initial=0) / np.float32(MOST)
    steps[steps == 0] = 1
    return Codes(np.rint(vectors / steps[:, None]).astype(np.int8), steps)


def estimates(queries: Vectors, codes: Codes) -> Iterator[Estimates]:
    """How near each query, float32 (m, dim), is to every row. Vectors are of unit norm.

    What is rounded is off by anything up to half a step: the variance is step² / 12 in each place, of
    the codes as of the query's own.
    """
    asked = encode(queries)
    variances = np.square(codes.steps)
    squares = np.square(queries).sum(axis=1)
    for at, product in enumerate(_products(asked.values, codes.values)):
        step, square = asked.steps[at], squares[at]
        yield Estimates(
            product * (codes.steps * step),
            np.sqrt((variances * square + step * step) * np.float32(SURE * SURE / 12)),
        )


def _products(queries: NDArray[np.int8], codes: NDArray[np.int8]) -> Iterator[NDArray[np.float32]]:
    """Of each query with every row: whole numbers, exact."""
    count = max(_AT_ONCE // max(len(codes), 1), 1)
    for start in range(0, len(queries), count):
        some = queries[start : start + count]
        if not len(codes):
            yield from np.empty((len(some), 0), np.float32)
        elif len(some) < _PACKED:
            made: Any = numkong.cdist(some, codes, metric="dot", out_dtype="float32")
            yield from np.asarray(made)
        else:
            yield from _matrix(some, codes)


def _matrix(queries: NDArray[np.int8], codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """The same for so many queries that a matrix product is worth packing the codes for it."""
    products = np.empty((len(queries), len(codes)), np.float32)
    for start in range(0, len(codes), _ROWS):
        some = slice(start, start + _ROWS)
        made: Any = numkong.dots_packed(queries, numkong.dots_pack(codes[some], "int8"))
        products[:, some] = np.asarray(made)
    return products
