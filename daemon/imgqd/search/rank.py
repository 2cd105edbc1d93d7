"""From a query's vector to the pictures nearest to it.

Codes tell which pictures may be among the nearest, and the vectors of those decide: every score is
exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgqd.search.codes import estimates
from imgqd.search.prefix import Prefix
from imgqd.search.resident import FEW, Choice, Snapshot
from imgqd.search.rows import Ids, Rows
from imgqd.search.vectors import Vectors

Found = list[tuple[int, float]]

# By the prefix it takes this share of the pictures at first, at least so many, and so many for each of the
# top. While the last of the best is not deep enough among them (Snapshot.deep), it takes as many as would
# do for that one and a few more, since others may come; and so many times as many at least.
_FIRST_LOOK = 1 / 256
_LEAST = 1024
_TOPS = 16
_SPARE = 9 / 8
_MORE = 2
# Where more are taken than this, how many there are is told from a sample of so many of them.
_SAMPLED = 256
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
) -> Found:
    """The `top` pictures with the highest cosine, best first, equals by id.

    query: float32 (dim,), unit norm or zero. allowed: the ids that may be found, None for all.
    """
    (found,) = many(snapshot, query[None], top, allowed, [left_out])
    return found


def many(
    snapshot: Snapshot,
    queries: Vectors,
    top: int,
    allowed: Ids | None = None,
    left_out: Sequence[Collection[int]] = (),
) -> list[Found]:
    """The same for each of the queries, float32 (m, dim), each with what is left out of its answer."""
    out = left_out or [()] * len(queries)
    most = top + max(map(len, out), default=0)
    likely = _likely(snapshot, queries, most, snapshot.choose(allowed))
    found = []
    for query, rows, own in zip(queries, likely, out, strict=True):
        decided = _decided(snapshot, query, rows)
        found.append([hit for hit in decided[:most] if hit[0] not in own][:top])
    return found


def _likely(snapshot: Snapshot, queries: Vectors, top: int, choice: Choice) -> Iterator[Rows]:
    """For each of the queries the rows that may be among the `top` best."""
    if choice.few:
        codes = snapshot.codes.take(choice.rows)
        return (choice.rows[found.best(top)] for found in estimates(queries, codes))
    if snapshot.prefix is None:
        return _by_codes(snapshot, queries, top, choice)
    return _by_prefix(snapshot, snapshot.prefix, queries, top, choice)


def _by_codes(snapshot: Snapshot, queries: Vectors, top: int, choice: Choice) -> Iterator[Rows]:
    for found in estimates(queries, snapshot.codes):
        found.scores[choice.rows] = -np.inf
        yield found.best(min(top, choice.count))


def _by_prefix(
    snapshot: Snapshot, prefix: Prefix, queries: Vectors, top: int, choice: Choice
) -> Iterator[Rows]:
    for query, scores in zip(queries, prefix.scores(queries), strict=True):
        rows = _deep_enough(snapshot, scores, query, top, choice)
        yield from _by_codes(snapshot, query[None], top, choice) if rows is None else [rows]


def _deep_enough(
    snapshot: Snapshot, scores: NDArray[np.int32], query: Vectors, top: int, choice: Choice
) -> Rows | None:
    """The same by the prefix, of one query; None where it would have to take too many for its worth.

    It takes as many of those that stand highest by their prefix, and all of the latest rows, and goes
    on until the last of the best stands well above the last of the taken.
    """
    count = len(scores)
    split = np.searchsorted(choice.rows, count)
    scores[choice.rows[:split]] = _BARRED
    (latest,) = estimates(query[None], snapshot.codes[count:])
    latest.scores[choice.rows[split:] - count] = -np.inf
    behind = np.arange(count, len(snapshot.ids))
    most = FEW * (count - int(split))
    depth = max(int(choice.count * _FIRST_LOOK), _TOPS * top, _LEAST)
    while depth < most:
        rows = np.flatnonzero(scores >= _about(scores, depth))
        depth *= _MORE
        if len(rows) < top:
            continue
        (found,) = estimates(query[None], snapshot.codes.take(rows))
        both, taken = found.joined(latest), scores[rows]
        best = found.scores >= _highest(both.scores, top)
        last = taken[best].min(initial=taken.max())
        enough = np.count_nonzero(taken >= last) * snapshot.deep
        if enough <= len(rows):
            return np.concatenate([rows, behind])[both.best(top)]
        depth = max(depth, int(enough * _SPARE))
    return None


def _about(scores: NDArray[np.int32], depth: int) -> np.int32:
    """The score that about so many have, or surpass: of a sample, where so many are many."""
    sample = scores[:: max(depth // _SAMPLED, 1)]
    score: np.int32 = _highest(sample, max(depth * len(sample) // len(scores), 1))
    return score


def _highest(scores: NDArray[Any], place: int) -> Any:
    """The score at that place, 1 for the best."""
    return np.partition(scores, len(scores) - place)[len(scores) - place]


def _decided(snapshot: Snapshot, query: Vectors, rows: Rows) -> Found:
    """The pictures in these rows with their scores, in order."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        scores[some] = scores_of(snapshot.exact(rows[some]), query)
    is_known = ~np.isnan(scores)
    ids, scores = snapshot.ids[rows[is_known]], scores[is_known]
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
