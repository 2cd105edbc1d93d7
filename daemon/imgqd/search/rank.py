"""From a query's vector to the pictures nearest to it.

Codes tell which pictures may be among the nearest, and the vectors of those decide: every score is
exact.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from imgqd.search.codes import estimates
from imgqd.search.resident import Ids, Rows, Snapshot, Vectors

# Up to this share of the pictures their codes are gathered, above it all are scanned.
FEW = 1 / 8
# Vectors that are compared at a time.
_AT_ONCE = 4096


def combine(vectors: Vectors, weights: npt.NDArray[np.float32]) -> Vectors:
    """The unit vector of the weighted sum: vectors float32 (n, dim), weights (n,) -> (dim,).

    Terms that cancel each other out have no direction: the answer is then the zero vector.
    """
    total = weights @ vectors
    length = float(np.linalg.norm(total))
    return (total / length if length > 1e-6 else np.zeros_like(total)).astype(np.float32)


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
    rows = snapshot.rows(allowed, left_out)
    if len(rows) < FEW * len(snapshot.ids):
        (found,) = estimates(query[None], snapshot.codes[rows])
    else:
        (found,) = estimates(query[None], snapshot.codes)
        found = found[rows]
    return _decided(snapshot, query, rows[found.best(top)])[:top]


def many(snapshot: Snapshot, queries: Vectors, top: int) -> list[list[tuple[int, float]]]:
    """The same for each of the queries, float32 (m, dim), among all pictures."""
    rows = snapshot.rows(None, ())
    return [
        _decided(snapshot, query, rows[found[rows].best(top)])[:top]
        for query, found in zip(queries, estimates(queries, snapshot.codes), strict=True)
    ]


def _decided(snapshot: Snapshot, query: Vectors, rows: Rows) -> list[tuple[int, float]]:
    """The pictures in these rows with their scores, in order.

    Summed in double precision, row by row, a score is that of the vector alone: equal vectors have
    equal scores, wherever they stand.
    """
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        scores[some] = np.einsum(
            "ij,j->i", snapshot.vectors[rows[some]].astype(np.float64), query.astype(np.float64)
        )
    ids = snapshot.ids[rows]
    order = np.lexsort((ids, -scores))
    return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))
