"""A vec0 table made anew of what is sound in it, whatever became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgqd.store.repair import remains
from imgqd.store.vectors import vec0
from imgqd.store.vectors.sums import COLUMNS, Sums

if TYPE_CHECKING:
    import apsw

    from imgqd.store.records import Model

SUMS = f"""
SELECT {COLUMNS} FROM embedding_sums JOIN pictures ON id = picture
WHERE model = ? ORDER BY picture
"""


def rebuild(connection: apsw.Connection, model: Model) -> None:
    """Keeps every vector whose checksum holds, wherever in the table it lies; the pictures of all
    others are pending."""
    name, old = vec0.table(model.id), f"damaged_{model.id}"
    there = {table for (table,) in connection.execute("SELECT name FROM sqlite_master")}
    parts = [part for part in vec0.PARTS if f"{name}_{part}" in there]
    for part in parts:
        connection.execute(f"ALTER TABLE {name}_{part} RENAME TO {old}_{part}")
    vec0.drop(connection, model.id)
    vec0.create(connection, model)
    sums = Sums(connection.execute(SUMS, (model.id,)))
    for candidates in remains.candidates(connection, old, model.dim):
        ids, vectors = sums.sound(*candidates)
        for picture, vector in zip(ids.tolist(), vectors, strict=True):
            vec0.put(connection, model.id, picture, vector.tobytes())
    connection.executemany(
        "DELETE FROM embedding_sums WHERE picture = ? AND model = ?",
        [(picture, model.id) for picture in sums.missing],
    )
    for part in parts:
        connection.execute(f"DROP TABLE {old}_{part}")
