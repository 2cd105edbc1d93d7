"""One vec0 table a model, which any SQL shell with sqlite-vec can ask.

vec0 has no INSERT OR REPLACE, takes any number as a vector, and gives vectors one query each.
`chunks` reads its chunks as a whole instead, several times as fast; the checksums that are kept of
the vectors tell whether they were read right, and whether the table is sound, which SQLite's own
checks do not.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np

from imgq.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from imgqd.store.records import Model

CHUNK = 256  # vectors a chunk: small, for a long blob is slow to reach into
# the tables that vec0 keeps a table in, and their columns
PARTS = {
    "info": ("", ".key", ".value"),
    "chunks": ("", ".chunk_id", ".size", ".validity", ".rowids"),
    "rowids": ("", ".rowid", ".id", ".chunk_id", ".chunk_offset"),
    "vector_chunks00": ("", ".rowid", ".vectors"),
}
NAMES = """
SELECT name FROM sqlite_master
UNION ALL SELECT tables.name || '.' || columns.name
    FROM sqlite_master tables, pragma_table_info(tables.name) columns WHERE tables.type = 'table'
    AND sql NOT LIKE 'CREATE VIRTUAL%'
"""

READ_CHUNKS = """
SELECT size, validity, rowids, vectors FROM {name}_chunks
JOIN {name}_vector_chunks00 parts ON parts.rowid = chunk_id
WHERE chunk_id = coalesce(:chunk, chunk_id)
    AND (typeof(validity), typeof(rowids), typeof(vectors)) = ('blob', 'blob', 'blob')
    AND (length(validity) * 8, length(rowids), length(vectors)) = (size, size * 8, size * :dim * 4)
"""
READ_OWNERS = """
SELECT owners.rowid, chunk_id, chunk_offset FROM json_each(?) pictures
CROSS JOIN {name}_rowids owners ON owners.rowid = pictures.value
WHERE (typeof(chunk_id), typeof(chunk_offset)) = ('integer', 'integer')
"""


def table(model: int) -> str:
    return f"embeddings_{model}"


def create(connection: apsw.Connection, model: Model) -> None:
    connection.execute(
        f"CREATE VIRTUAL TABLE {table(model.id)} USING vec0(picture INTEGER PRIMARY KEY,"
        f" embedding float[{model.dim}] distance_metric=cosine, chunk_size={CHUNK})"
    )


def is_going(connection: apsw.Connection, model: int) -> bool:
    """Whether the model is being forgotten, or is so already."""
    role = connection.execute("SELECT role FROM models WHERE id = ?", (model,)).get
    return role in (None, "going")


def drop(connection: apsw.Connection, model: int) -> None:
    """Whatever is left of its table; vec0 drops none without the tables it keeps it in."""
    name = table(model)
    for part in PARTS:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name}_{part}(empty)")
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    for part in PARTS:
        connection.execute(f"DROP TABLE IF EXISTS {name}_{part}")


def lacking(connection: apsw.Connection, model: int) -> list[str]:
    """What should be there for a model, and is not: the table, the tables that vec0 keeps it in,
    their columns. vec0 fails, or ends the process, for want of one of its own."""
    name = table(model)
    wanted = [name, *(f"{name}_{part}{column}" for part in PARTS for column in PARTS[part])]
    there = {name for (name,) in connection.execute(NAMES)}
    return [name for name in wanted if name not in there]


def all_lacking(connection: apsw.Connection) -> list[str]:
    """The same for all models that are not being forgotten."""
    models: list[Any] = connection.execute("SELECT id FROM models WHERE role != 'going'").fetchall()
    return [name for (model,) in models for name in lacking(connection, model)]


@contextmanager
def _asked() -> Iterator[None]:
    """vec0 has but one error, and none where its tables are sound."""
    try:
        yield
    except apsw.SQLError as error:
        raise StoreDamaged(f"the vectors of the index are damaged: {error}") from error


def put(connection: apsw.Connection, model: int, picture: int, data: bytes) -> None:
    """Records the vector of a picture, new or not."""
    name = table(model)
    has = f"SELECT 1 FROM {name}_rowids WHERE rowid = ?"
    with _asked():
        if connection.execute(has, (picture,)).get:
            # an update leaves no hole
            statement = f"UPDATE {name} SET embedding = ?2 WHERE picture = ?1"
        else:
            statement = f"INSERT INTO {name}(picture, embedding) VALUES (?1, ?2)"
        connection.execute(statement, (picture, data))


def delete(connection: apsw.Connection, model: int, picture: int) -> None:
    with _asked():
        connection.execute(f"DELETE FROM {table(model)} WHERE picture = ?", (picture,))


def chunks(
    connection: apsw.Connection, model: Model, chunk: int | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The ids and vectors of each chunk of the vec0 table, or of one. A chunk that is not of the
    form that vec0 gives it is passed over: what it held is then missing."""
    name = table(model.id)
    if not _has_chunks(connection, name):
        return
    rows = connection.execute(READ_CHUNKS.format(name=name), {"dim": model.dim, "chunk": chunk})
    for size, validity, ids, vectors in rows:
        used = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little").view(bool)
        matrix = np.frombuffer(vectors, np.float32).reshape(size, model.dim)
        yield np.frombuffer(ids, np.int64)[used], matrix[used]


def _has_chunks(connection: apsw.Connection, name: str) -> bool:
    return bool(
        connection.execute(
            "SELECT count(*) = 2 FROM sqlite_master WHERE name IN (?, ?)",
            (f"{name}_chunks", f"{name}_vector_chunks00"),
        ).get
    )


def some(
    connection: apsw.Connection, model: Model, pictures: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ids and vectors of those of the pictures that have one. It does not ask vec0, which may
    end the process where a table of its own is missing."""
    name, width = table(model.id), model.dim * 4
    found: dict[int, bytes] = {}
    with suppress(apsw.SQLError):  # there is no such table
        for picture, chunk, offset in connection.execute(
            READ_OWNERS.format(name=name), (json.dumps(pictures),)
        ):
            data = _read(connection, name, chunk, offset * width, width)
            if len(data) == width:
                found[picture] = data
    vectors = np.frombuffer(b"".join(found.values()), np.float32).reshape(-1, model.dim)
    return np.fromiter(found, np.int64), vectors


def _read(connection: apsw.Connection, name: str, chunk: int, start: int, count: int) -> bytes:
    """Bytes of a chunk's vectors; fewer where it is not as it should be."""
    table = f"{name}_vector_chunks00"
    with (
        suppress(apsw.SQLError, ValueError),  # there is no such row; it ends before
        connection.blob_open("main", table, "vectors", chunk, False) as blob,
    ):
        blob.seek(start)
        return blob.read(count)
    return b""


def sparse(connection: apsw.Connection, model: int) -> list[int]:
    """Chunks that are more than half holes, the emptiest first; never the last, which is being
    filled."""
    found: list[Any] = connection.execute(
        f"SELECT chunk_id, size, validity FROM {table(model)}_chunks ORDER BY chunk_id"
    ).fetchall()
    used = {id: int.from_bytes(validity).bit_count() for id, _, validity in found[:-1]}
    return sorted((id for id, size, _ in found[:-1] if used[id] * 2 < size), key=used.__getitem__)
