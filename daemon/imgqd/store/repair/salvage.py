"""What can be had out of a damaged database: every picture whose vector is surely its own.

Files are not among it: nothing tells whether a row of theirs is as it was, and the disk has them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apsw

from imgqd.store.records import HELD, Held, Model
from imgqd.store.repair import remains
from imgqd.store.vectors import vec0
from imgqd.store.vectors.embeddings import has_embedding, put_embedding
from imgqd.store.vectors.models import find_model, put_held
from imgqd.store.vectors.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from imgqd.store.database.database import Database

# before version 4 there was no telling what they are held for
MODELS = """
SELECT id, identity, name, dim, {} FROM models WHERE id BETWEEN ? AND ?
    AND (typeof(identity), typeof(name), typeof(dim)) = ('text', 'text', 'integer') AND dim > 0
"""
ROLES = ("role, keeps", "'left', 0")
SUMS = """
SELECT picture, hash, checksum FROM embedding_sums JOIN pictures ON id = picture
WHERE picture BETWEEN ? AND ? AND model = {model} AND NOT stale
    AND (typeof(hash), length(hash), typeof(checksum)) = ('blob', 16, 'integer')
"""
# as the first version had it: what else there is to know of them is read again
PICTURE = """
SELECT id, hash, format, width, height, taken_at, camera, lens, latitude, longitude FROM pictures
WHERE id = ? AND (typeof(format), typeof(width), typeof(height)) = ('text', 'integer', 'integer')
    AND 'blob' NOT IN (typeof(taken_at), typeof(camera), typeof(lens))
    AND 'text' NOT IN (typeof(latitude), typeof(longitude))
"""
# whoever holds a number of a picture that was lost must not come by another with it
NUMBERS = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'pictures'"


def salvage(source: apsw.Connection, target: Database) -> None:
    """Copies what the target does not have; pictures keep their numbers, and are orphans from now
    on."""
    last = remains.last(source, "pictures", "id")
    for held in _models(source):
        model = held.model
        with target.write() as connection:
            if find_model(connection, model.identity) is None:
                put_held(connection, [held])
            known = find_model(connection, model.identity)
        if known is not None and known.dim == model.dim:
            sums = Sums(remains.rows(source, SUMS.format(model=model.id), last))
            name = vec0.table(model.id)
            for candidates in remains.candidates(source, name, model.dim):
                _copy(source, target, known, sums.sound(*candidates))
    with target.write() as connection:
        connection.execute(NUMBERS, (last,))


def _models(source: apsw.Connection) -> list[Held]:
    last = remains.last(source, "models", "id")
    found = [list(remains.rows(source, MODELS.format(roles), last, 1)) for roles in ROLES]
    rows = found[0] or found[1]
    return [Held(Model(*row), role, bool(keeps)) for *row, role, keeps in rows if role in HELD]


def _copy(
    source: apsw.Connection,
    target: Database,
    model: Model,
    sound: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> None:
    if len(sound[0]):
        with target.write() as connection:
            for picture, vector in _new(source, connection, sound):
                if not has_embedding(connection, model, picture):
                    put_embedding(connection, model, picture, vector)


def _new(
    source: apsw.Connection,
    connection: apsw.Connection,
    sound: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Records those pictures; each that could be read, or was there before, with its vector."""
    for id, vector in zip(sound[0].tolist(), sound[1], strict=True):
        row: Any = None
        with suppress(apsw.Error, UnicodeDecodeError):
            row = source.execute(PICTURE, (id,)).get
        if row is not None:
            connection.execute(
                "INSERT OR IGNORE INTO pictures(id, hash, format, width, height, taken_at, camera,"
                " lens, latitude, longitude, taken_from, orphaned_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, iif(?6 IS NULL, NULL, 'exif'), ?)",
                (*row, time.time()),
            )
            if connection.execute("SELECT hash FROM pictures WHERE id = ?", (id,)).get == row[1]:
                yield id, vector
