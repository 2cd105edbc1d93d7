"""What can be read of a damaged database, or of a damaged table of vectors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST = 1 << 20  # rows, where the database cannot even say how many there were
MOST_FAULTS = 10_000  # then there is nothing worth the time
SMALLEST = 64  # rows that are given up together; of pictures and the like, a page holds as many
PIECE = 8192  # bytes of a long value, read at once

CHUNKS = "SELECT chunk_id, rowids FROM {name}_chunks WHERE chunk_id BETWEEN ? AND ?"
# the column called rowid is not the row's own number, which it should be equal to
VECTORS = "SELECT _rowid_, rowid FROM {name}_vector_chunks00 WHERE _rowid_ BETWEEN ? AND ?"
OWNERS = """
SELECT rowid, chunk_id, chunk_offset FROM {name}_rowids WHERE rowid BETWEEN ? AND ?
    AND (typeof(chunk_id), typeof(chunk_offset)) = ('integer', 'integer')
"""
OWNER = np.dtype([("picture", np.int64), ("chunk", np.int64), ("offset", np.int64)])


def rows(
    connection: apsw.Connection, select: str, last: int, smallest: int = SMALLEST
) -> Iterator[tuple[Any, ...]]:
    """The rows of `select`, by its key, which is its first column and BETWEEN ? AND ?. Where they
    cannot be read, by halves; what cannot be read even so is left out."""
    gaps, faults = [(0, last)], 0
    while gaps and faults < MOST_FAULTS:
        low, high = gaps.pop()
        try:
            for row in connection.execute(select, (low, high)):
                yield row
                low = max(low, row[0] + 1)
        except apsw.SQLError:  # there is no such table
            return
        except (apsw.Error, UnicodeDecodeError):
            faults += 1
            if high - low >= smallest:
                middle = (low + high) // 2
                gaps += [(middle + 1, high), (low, middle)]


def last(connection: apsw.Connection, table: str, key: str = "rowid") -> int:
    """A number that no key of the table is above."""
    found = []
    for ask in (
        f"SELECT max({key}) FROM {table}",
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
    ):
        with suppress(apsw.Error, ValueError):
            found.append(int(connection.execute(ask).get or 0))
    return max(found, default=MOST)


def candidates(
    connection: apsw.Connection, name: str, dim: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """All that may be vectors of the vec0 table of that name, with the ids of their pictures: by
    what the chunks say, and by what the table of rowids says, whether they agree or not. Checksums
    must tell which are."""
    parts, chunks, owners = (f"{name}_{part}" for part in ("vector_chunks00", "chunks", "rowids"))
    told = dict(rows(connection, CHUNKS.format(name=name), last(connection, chunks, "chunk_id"), 1))
    found = rows(connection, OWNERS.format(name=name), last(connection, owners))
    owned = np.sort(np.fromiter(found, OWNER), order="chunk")
    for key, chunk in rows(
        connection, VECTORS.format(name=name), last(connection, parts, "_rowid_"), 1
    ):
        vectors = _matrix(_blob(connection, parts, key), np.float32, dim)
        for number in {key, chunk}:
            ids = _matrix(told.get(number), np.int64, 1)[: len(vectors), 0]
            yield ids, vectors[: len(ids)]
            first, end = np.searchsorted(owned["chunk"], [number, number + 1])
            ours = owned[first:end]
            ours = ours[(ours["offset"] >= 0) & (ours["offset"] < len(vectors))]
            yield ours["picture"], vectors[ours["offset"]]


def _matrix(data: Any, dtype: Any, columns: int) -> NDArray[Any]:
    """As many whole rows as there are."""
    if not isinstance(data, bytes):
        data = b""
    width = np.dtype(dtype).itemsize * columns
    return np.frombuffer(data[: len(data) // width * width], dtype).reshape(-1, columns)


def _blob(connection: apsw.Connection, table: str, row: int) -> bytes:
    """As much as can be read."""
    data = bytearray()
    with (
        suppress(apsw.Error),
        connection.blob_open("main", table, "vectors", row, False) as blob,
    ):
        while piece := blob.read(PIECE):
            data += piece
    return bytes(data)
