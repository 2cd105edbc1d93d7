"""Pictures that are nearly the same: another size, quality or format of one original.

Their tiny copies (`pictures.sameness`) are alike by Lin's concordance (A concordance correlation
coefficient to evaluate reproducibility, 1989), which unlike a plain correlation heeds brightness and
contrast, too; a floor under the variance keeps plain pictures from being compared by their noise. That
is a bound on the distance of two tiny copies, and their distance along a few directions is never more:
so products of a few numbers a picture rule out nearly all pairs, and nothing is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgqd.records import CHROMA_SIDE, IMPRINT_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgqd.store import Imprints

    Floats = NDArray[np.float32]

# What a place of chroma counts, which stands for so many of luma, and tells less.
_CHROMA = np.float32(IMPRINT_SIDE / CHROMA_SIDE / 2**0.5)
_LUMAS = IMPRINT_SIDE**2
# Under the standard deviation of any tiny copy, in steps of 255.
_FLOOR = 6.0
_DIRECTIONS = 22
# Of fewer pictures every place is compared at once.
_FEW = 512
_SAMPLE = 8192
_AT_ONCE = 2048
# Pairs that are looked at together: fewer rows are where so many are near each other.
_MOST_PAIRS = 1 << 20
# Products in single precision are off by no more.
_SLACK = 0.5
# Two sizes of one picture differ in shape by what rounding to whole pixels makes of it.
_ROUNDED = 1.0

Rows = npt.NDArray[np.intp]
# Which of these rows the model sees alike with the first.
Agrees = Callable[[int, Rows], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Star:
    """A row, and the later ones that are near it and no earlier one: how alike, float32 (n,), 1 for the
    same."""

    first: int
    others: Rows
    alike: Floats


def stars(imprints: Imprints, least: float, agrees: Agrees) -> Iterator[Star]:
    """All that are alike by at least so much, above 0 and up to 1: each row is in one star at most, and
    with the first that it could be with."""
    if not len(imprints):
        return
    taken = np.zeros(len(imprints), np.bool_)
    for run in _Table(imprints, least).runs(taken):
        bounds = np.searchsorted(run.ones, np.arange(run.start, run.end + 1))
        for first in np.unique(run.ones).tolist():
            rows = run.others[bounds[first - run.start] : bounds[first - run.start + 1]]
            if not taken[first]:
                star = _only(_decided(imprints, least, first, rows[~taken[rows]]), agrees)
                taken[star.others] = True
                if len(star.others):
                    yield star


@dataclass(frozen=True, slots=True)
class _Run:
    """Pairs of the rows from `start` up to `end` with later ones that may be alike, by the first."""

    start: int
    end: int
    ones: Rows
    others: Rows


class _Table:
    """Tells which pairs may be alike, by products: |a - b|² <= (1 - least) (E(a) + E(b)), along the
    directions, is one of each row's own numbers that is not negative."""

    def __init__(self, imprints: Imprints, least: float) -> None:
        sketch, energy = _sketched(imprints)
        own = ((1 - least) * energy - np.square(sketch).sum(axis=1) + _SLACK)[:, None] / 2
        ones = np.ones_like(own)
        self._left = np.concatenate([sketch, own, ones], axis=1)
        self._right = np.concatenate([sketch, ones, own], axis=1)
        # Along the first direction each reaches so far, and who are alike reach each other.
        self._place, self._reach = sketch[:, 0], np.sqrt((1 - least) * energy) + _SLACK

    def runs(self, taken: npt.NDArray[np.bool_]) -> Iterator[_Run]:
        """All pairs, or where they are too many those of a few rows at a time, without the taken."""
        count, start, rows = len(self._left), 0, _AT_ONCE
        if (pairs := self._in_reach()) is not None:
            yield _run(0, count, *pairs)
            return
        while len(free := np.flatnonzero(~taken[start:]) + start):
            right = self._right[free].T.copy()
            while (pairs := self._of_rows(free, right, rows)) is None:
                rows = max(rows // 4, 1)
            end = int(free[:rows][-1]) + 1
            yield _run(start, end, *pairs)
            start, rows = end, min(2 * rows, _AT_ONCE)

    def _in_reach(self) -> tuple[Rows, Rows] | None:
        """Of all rows; None where there are too many."""
        order = np.argsort(self._place - self._reach, kind="stable")
        begins, ends = (self._place - self._reach)[order], (self._place + self._reach)[order]
        left, right = self._left[order], self._right[order].T.copy()
        found = _Pairs(_MOST_PAIRS)
        for start in range(0, len(order), _AT_ONCE):
            end = min(start + _AT_ONCE, len(order))
            last = int(np.searchsorted(begins, ends[start:end].max(), side="right"))
            for at in range(start, last, _AT_ONCE):
                rows, columns = np.nonzero(
                    left[start:end] @ right[:, at : min(at + _AT_ONCE, last)] >= 0
                )
                later = columns + at > rows + start
                ones, others = order[rows[later] + start], order[columns[later] + at]
                if not found.add(np.minimum(ones, others), np.maximum(ones, others)):
                    return None
        return found.all()

    def _of_rows(self, free: Rows, right: Floats, rows: int) -> tuple[Rows, Rows] | None:
        """Of the first rows with later ones, among those that are free; None where there are too many for
        so many rows. right: the latter's, by columns."""
        found = _Pairs(_MOST_PAIRS if rows > 1 else len(free))
        left = self._left[free[:rows]]
        for at in range(0, len(free), _AT_ONCE):
            near = left @ right[:, at : at + _AT_ONCE] >= 0
            # Those that come before a row, and itself, are not behind it.
            ones, others = np.nonzero(np.triu(near, 1 - at) if at < rows else near)
            if not found.add(free[ones], free[others + at]):
                return None
        return found.all()


class _Pairs:
    """At most so many."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._parts = [(np.empty(0, np.intp), np.empty(0, np.intp))]

    def add(self, ones: Rows, others: Rows) -> bool:
        """Whether there is room for them."""
        self._parts.append((ones, others))
        self._left -= len(ones)
        return self._left >= 0

    def all(self) -> tuple[Rows, Rows]:
        ones, others = zip(*self._parts, strict=True)
        return np.concatenate(ones), np.concatenate(others)


def _run(start: int, end: int, ones: Rows, others: Rows) -> _Run:
    order = np.lexsort((others, ones))
    return _Run(start, end, ones[order], others[order])


def places(imprints: Imprints, rows: Rows | slice) -> Floats:
    """Of those rows, as numbers whose distance tells: float32 (n, d)."""
    values = imprints.values[rows].astype(np.float32)
    values[:, _LUMAS:] *= _CHROMA
    return values


def alike(one: Floats, other: Floats) -> Floats:
    """How alike places (n, d) are, row by row: 1 for the same, about 0 for any two."""
    apart = np.square(one - other).sum(axis=1)
    found: Floats = 1 - apart / (_energy(one) + _energy(other))
    return found


def _energy(placed: Floats) -> Floats:
    """The squares of what sets a picture off from a plain one, and of the floor."""
    middles = np.empty_like(placed)
    for part in (slice(_LUMAS), slice(_LUMAS, None)):
        middles[:, part] = placed[:, part].mean(axis=1, keepdims=True)
    found: Floats = np.square(placed - middles).sum(axis=1) + np.float32(_LUMAS * _FLOOR**2)
    return found


def _sketched(imprints: Imprints) -> tuple[Floats, Floats]:
    """The places of all along the directions in which a sample varies most, those first; and energies."""
    sample = places(imprints, slice(None, None, max(len(imprints) // _SAMPLE, 1)))
    middle = sample.mean(axis=0)
    if len(imprints) > _FEW:
        _, axes = np.linalg.eigh((sample - middle).T @ (sample - middle))
        axes = np.ascontiguousarray(axes[:, ::-1][:, :_DIRECTIONS])
    else:
        axes = np.eye(sample.shape[1], dtype=np.float32)
    sketch = np.empty((len(imprints), axes.shape[1]), np.float32)
    energy = np.empty(len(imprints), np.float32)
    for start in range(0, len(imprints), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        placed = places(imprints, some)
        sketch[some], energy[some] = (placed - middle) @ axes, _energy(placed)
    return sketch, energy


def _decided(imprints: Imprints, least: float, first: int, rows: Rows) -> Star:
    """Which of these rows are alike with the first in every place, and of one shape."""
    rows = rows[_same_shape(imprints.sizes[[first]], imprints.sizes[rows])]
    one = places(imprints, slice(first, first + 1))
    found = [
        alike(one, places(imprints, rows[start : start + _AT_ONCE]))
        for start in range(0, len(rows), _AT_ONCE)
    ]
    scores = np.concatenate([np.empty(0, np.float32), *found])
    return Star(first, rows[scores >= least], scores[scores >= least])


def _only(star: Star, agrees: Agrees) -> Star:
    if not len(star.others):
        return star
    agreed = agrees(star.first, star.others)
    return Star(star.first, star.others[agreed], star.alike[agreed])


def _same_shape(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether sizes (n, 2) are those of one picture, made smaller."""
    small = np.where(one.prod(axis=1)[:, None] < other.prod(axis=1)[:, None], one, other)
    large = np.where(one.prod(axis=1)[:, None] < other.prod(axis=1)[:, None], other, one)
    wanted = large[:, ::-1] * (small / large)
    found: NDArray[np.bool_] = np.any(np.abs(wanted - small[:, ::-1]) <= _ROUNDED, axis=1)
    return found
