"""The answer of the store itself: every vector of it read, checked and compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from imgqd.search.rank import in_order, scores_of

if TYPE_CHECKING:
    from imgqd.search.rows import Ids
    from imgqd.search.vectors import Vectors
    from imgqd.store import Store


def nearest_stored(
    store: Store,
    query: Vectors,
    top: int,
    allowed: Ids | None = None,
    left_out: Collection[int] = (),
) -> list[tuple[int, float]]:
    """As `rank.nearest` tells it of memory; it takes as long as reading the whole table does."""
    ids, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    for block in store.resident():
        passes = ~np.isin(block.ids, list(left_out))
        if allowed is not None:
            passes &= np.isin(block.ids, allowed)
        ids = np.append(ids, block.ids[passes])
        scores = np.append(scores, scores_of(block.vectors[passes], query))
        best = in_order(ids, scores)[:top]
        ids, scores = ids[best], scores[best]
    return list(zip(ids.tolist(), scores.tolist(), strict=True))
