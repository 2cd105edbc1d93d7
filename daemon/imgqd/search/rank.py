"""From a query's vector to the pictures nearest to it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from imgqd.search.resident import Snapshot, Vectors


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
    allowed: npt.NDArray[np.int64] | None = None,
    left_out: Collection[int] = (),
) -> list[tuple[int, float]]:
    """The `top` pictures with the highest cosine, best first, equals by id.

    query: float32 (dim,), unit norm. allowed: the ids that may be found, None for all.
    """
    eligible = snapshot.alive.copy()
    if allowed is not None:
        eligible &= np.isin(snapshot.ids, allowed)
    if left_out:
        eligible &= ~np.isin(snapshot.ids, list(left_out))
    rows = np.flatnonzero(eligible)
    scores = snapshot.vectors @ query if 4 * len(rows) > len(eligible) else None
    scores = snapshot.vectors[rows] @ query if scores is None else scores[rows]
    if top < len(rows):
        # With all that equal the last of them: which of equals are found is for their ids to say.
        best = scores >= -np.partition(-scores, top - 1)[top - 1]
        rows, scores = rows[best], scores[best]
    order = np.lexsort((snapshot.ids[rows], -scores))[:top]
    return [(int(snapshot.ids[rows[at]]), float(scores[at])) for at in order]
