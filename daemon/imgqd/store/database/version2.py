"""Version 2: roots know the kind of their file system, an index knows itself from every other, and a
checksum holds a vector to its picture's hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgqd.store.records import Model
from imgqd.store.vectors import vec0
from imgqd.store.vectors.sums import checksum, sum_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

SECOND = """
ALTER TABLE roots ADD COLUMN kind TEXT NOT NULL DEFAULT '';

-- one row: what tells this index from every other
CREATE TABLE origin(id BLOB NOT NULL);
INSERT INTO origin VALUES (randomblob(16));
"""
OLD = """
SELECT picture, hash, checksum FROM embedding_sums JOIN pictures ON id = picture WHERE model = ?
"""


def migrate(connection: apsw.Connection) -> None:
    connection.execute(SECOND).fetchall()
    models: list[Any] = connection.execute("SELECT id, identity, name, dim FROM models").fetchall()
    for model in models:
        connection.executemany(
            "UPDATE embedding_sums SET checksum = ? WHERE picture = ? AND model = ?",
            list(_bound(connection, Model(*model))),
        )


def _bound(connection: apsw.Connection, model: Model) -> Iterator[tuple[int, int, int]]:
    """The new checksum of each vector whose old one holds; any other keeps the old one, and so is
    not taken for sound."""
    rows = connection.execute(OLD, (model.id,))
    old = {picture: (hash, sum) for picture, hash, sum in rows}
    for ids, vectors in vec0.chunks(connection, model):
        for picture, vector in zip(ids.tolist(), vectors, strict=True):
            hash, sum = old.get(picture, (b"", None))
            if sum == sum_of(vector.data):
                yield checksum(hash, vector), picture, model.id
