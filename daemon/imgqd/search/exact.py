"""The answer of the store itself: every vector of it read, checked and compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgqd.search.rank import Found, in_order, scores_of

if TYPE_CHECKING:
    from imgqd.search.rows import Ids
    from imgqd.search.vectors import Vectors
    from imgqd.store import Model, Store


def many_stored(
    store: Store,
    model: Model,
    queries: Vectors,
    top: int,
    allowed: Ids | None,
    left_out: Sequence[Collection[int]],
) -> list[Found]:
    """As `rank.many` tells it of memory; it takes as long as reading the whole table does."""
    found = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    for block in store.resident(model):
        passes = np.ones(len(block.ids), np.bool_)
        if allowed is not None:
            passes = np.isin(block.ids, allowed)
        for at, (query, out) in enumerate(zip(queries, left_out, strict=True)):
            own = passes & ~np.isin(block.ids, list(out))
            ids = np.append(found[at][0], block.ids[own])
            scores = np.append(found[at][1], scores_of(block.vectors[own], query))
            best = in_order(ids, scores)[:top]
            found[at] = ids[best], scores[best]
    return [list(zip(ids.tolist(), scores.tolist(), strict=True)) for ids, scores in found]
