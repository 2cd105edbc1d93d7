"""From a query's vector to the pictures nearest to it.

Codes tell which pictures may be among the nearest, and the vectors of those decide: every score is
exact.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgqd.search.codes import estimates
from imgqd.search.prefix import Prefix
from imgqd.search.resident import FEW, Choice, Ids, Rows, Snapshot, Vectors

# By the prefix it takes this share of the pictures at first, at least so many, and so many for each of the
# top; and so many times as many while the last of the best is not among the first by DEEP.
_FIRST_LOOK = 1 / 256
_LEAST = 512
_TOPS = 16
_MORE = 4
DEEP = 8
_BARRED = np.iinfo(np.int32).min
# Vectors that are compared at a time.
_AT_ONCE = 4096


def combine(vectors: Vectors, weights: NDArray[np.float32]) -> Vectors:
    """The unit vector of the weighted sum: vectors float32 (n, dim), weights (n,) -> (dim,).

    Terms that cancel each other out have no direction: the answer is then the zero vector.
    """
    total = weights @ vectors
    length = float(np.linalg.norm(total))
    return (
        total / length if length > 1e-6 * np.abs(weights).sum() else np.zeros_like(total)
    ).astype(np.float32)


def nearest(
    snapshot: Snapshot,
    query: Vectors,
    top: int,
    allowed: Ids | None = None,
    left_out: Collection[int] = (),
) -> list[tuple[int, float]]:
    """The `top` pictures with the highest cosine, best first, equals by id.

    query: float32 (dim,), unit norm or zero. allowed: the ids that may be found, None for all.
    """
    choice = snapshot.choose(allowed, left_out)
    if choice.few:
        (found,) = estimates(query[None], snapshot.codes[choice.rows])
        rows = choice.rows[found.best(top)]
    else:
        rows = _likely(snapshot, query, top, choice)
    return _decided(snapshot, query, rows)[:top]


def many(snapshot: Snapshot, queries: Vectors, top: int) -> list[list[tuple[int, float]]]:
    """The same for each of the queries, float32 (m, dim), among all pictures."""
    if snapshot.prefix is not None:
        return [nearest(snapshot, query, top) for query in queries]
    rows = np.flatnonzero(snapshot.alive)
    return [
        _decided(snapshot, query, rows[found[rows].best(top)])[:top]
        for query, found in zip(queries, estimates(queries, snapshot.codes), strict=True)
    ]


def _likely(snapshot: Snapshot, query: Vectors, top: int, choice: Choice) -> Rows:
    """The rows that may be among the `top` best, of a choice that is not few."""
    if snapshot.prefix is not None:
        rows = _deep_enough(snapshot, snapshot.prefix, query, top, choice)
        if rows is not None:
            return rows
    (found,) = estimates(query[None], snapshot.codes)
    found.scores[choice.rows] = -np.inf
    return found.best(min(top, choice.count))


def _deep_enough(
    snapshot: Snapshot, prefix: Prefix, query: Vectors, top: int, choice: Choice
) -> Rows | None:
    """The same by the prefix; None where it would have to take too many for its worth.

    It takes as many of those that stand highest by their prefix, and all of the latest rows, and goes
    on until the last of the best stands well above the last of the taken.
    """
    split = np.searchsorted(choice.rows, prefix.count)
    scores = prefix.scores(query)
    scores[choice.rows[:split]] = _BARRED
    (latest,) = estimates(query[None], snapshot.codes[prefix.count :])
    latest.scores[choice.rows[split:] - prefix.count] = -np.inf
    behind = np.arange(prefix.count, len(snapshot.ids))
    most = FEW * (prefix.count - int(split))
    depth = max(int(choice.count * _FIRST_LOOK), _TOPS * top, _LEAST)
    while depth < most:
        rows = np.flatnonzero(scores >= _highest(scores, depth))
        (found,) = estimates(query[None], snapshot.codes[rows])
        both, taken = found.joined(latest), scores[rows]
        best = found.scores >= _highest(both.scores, top)
        last = taken[best].min(initial=taken.max())
        if np.count_nonzero(taken >= last) * DEEP <= len(rows):
            return np.concatenate([rows, behind])[both.best(top)]
        depth *= _MORE
    return None


def _highest(scores: NDArray[Any], place: int) -> Any:
    """The score at that place, 1 for the best."""
    return np.partition(scores, len(scores) - place)[len(scores) - place]


def _decided(snapshot: Snapshot, query: Vectors, rows: Rows) -> list[tuple[int, float]]:
    """The pictures in these rows with their scores, in order."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        scores[some] = scores_of(snapshot.vectors[rows[some]], query)
    ids = snapshot.ids[rows]
    order = in_order(ids, scores)
    return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))


def scores_of(vectors: Vectors, query: Vectors) -> Vectors:
    """The exact scores of float32 (n, dim): (n,).

    Summed in double precision, row by row, a score is that of the vector alone: equal vectors have
    equal scores, wherever they stand.
    """
    doubles = np.einsum("ij,j->i", vectors.astype(np.float64), query.astype(np.float64))
    scores: Vectors = doubles.astype(np.float32)
    return scores


def in_order(ids: Ids, scores: Vectors) -> Rows:
    """Best first, equals by id."""
    order: Rows = np.lexsort((ids, -scores))
    return order
