"""Which row a picture is in: a table by id, so that a filter costs what it lets pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

# Ids that leave out more numbers than this a row are looked up by sorting.
_SPARSE = 64
_NONE = -1


class Places:
    """Tells the latest row of each id; whoever knows fewer rows passes over the others.

    It is never changed for those who look at it: new ids take free places, and any other change makes
    a copy.
    """

    def __init__(self, table: npt.NDArray[np.int32] | None) -> None:
        self._table = table

    @classmethod
    def of(cls, ids: Ids) -> Places:
        """ids: int64 (n,), by row; the last row counts where an id has several."""
        last, first = int(ids.max(initial=0)), int(ids.min(initial=0))
        if first < 0 or last > _SPARSE * (len(ids) + 1024):
            return cls(None)
        table = np.full(last + last // 2 + 1, _NONE, np.int32)
        table[ids] = np.arange(len(ids), dtype=np.int32)
        return cls(table)

    def with_rows(self, ids: Ids, start: int) -> Places:
        """The same, and the rows from `start` on, whose ids are at the end of `ids`, int64 (n,)."""
        new = ids[start:]
        if self._table is None or not len(new):
            return self
        if new.min() < 0 or new.max() >= len(self._table):
            return Places.of(ids)
        is_known = bool((self._table[new] != _NONE).any())
        table = self._table.copy() if is_known else self._table
        table[new] = np.arange(start, len(ids), dtype=np.int32)
        return Places(table)

    def find(self, ids: Ids, some: Ids) -> Rows:
        """The rows, among those of ids, int64 (n,), that some may be in; no matter which are dead."""
        if self._table is None:
            return np.flatnonzero(np.isin(ids, some))
        some = some[(some >= 0) & (some < len(self._table))]
        rows = self._table[some]
        found: Rows = rows[(rows != _NONE) & (rows < len(ids))].astype(np.intp)
        return found
