"""The models whose vectors the index holds, and what for; what is left is forgotten piece by piece."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgqd.store.part import Part
from imgqd.store.records import HELD, Held, Model
from imgqd.store.vectors import vec0

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from imgqd.store.records import Role

SELECT = "SELECT id, identity, name, dim, role, keeps FROM models ORDER BY id"
# What is pending for the model in use is so for another, too; a root that is away has nothing to read.
LACKING = """
SELECT pictures.id FROM pictures CROSS JOIN files ON files.picture = pictures.id
CROSS JOIN folders ON folders.id = files.folder CROSS JOIN roots ON roots.id = folders.root
LEFT JOIN embedding_sums sums ON sums.picture = pictures.id AND sums.model = ? AND NOT stale
WHERE sums.picture IS NULL AND roots.state = 'online'
GROUP BY pictures.id ORDER BY max(files.mtime_ns) DESC, pictures.id
"""
# mostly so at the end, and many times as fast as finding none that lacks it
HAS_ALL = """
SELECT (SELECT count(*) FROM pictures)
    = (SELECT count(*) FROM embedding_sums WHERE model = ? AND NOT stale)
"""
LEFT = "SELECT id, role FROM models WHERE role IN ('going', 'left') ORDER BY role LIMIT 1"
# A piece is one transaction: so many rows of numbers, or chunks of vectors, 16 MB of the largest.
ROWS, CHUNKS = 4096, 16
PIECES = (
    (
        "DELETE FROM embedding_sums WHERE model = :model AND picture IN"
        " (SELECT picture FROM embedding_sums WHERE model = :model LIMIT :most)",
        ROWS,
    ),
    (
        "DELETE FROM {name}_vector_chunks00 WHERE _rowid_ IN"
        " (SELECT _rowid_ FROM {name}_vector_chunks00 LIMIT :most)",
        CHUNKS,
    ),
    (
        "DELETE FROM {name}_rowids WHERE _rowid_ IN (SELECT _rowid_ FROM {name}_rowids LIMIT :most)",
        ROWS,
    ),
)


class Models(Part):
    def models(self) -> list[Held]:
        """Every model of which there is something, but for those that are going."""
        with self._database.read() as connection:
            return _held(connection)

    def use_model(self, identity: str, name: str, dim: int, *, keep: bool = False) -> Model:
        """Makes this the model of all that is asked and told from now on, in one transaction; `identity`
        tells it from every other, its weights included. The one before is left, or kept. Raises
        ValueError where the identity is known with another length."""
        known = self._known(Model(0, identity, name, dim))
        if known is None or (
            (known.role, known.model.name) != ("used", name) and self._is_writable
        ):
            with self._database.write() as connection:
                model = put_model(connection, Model(0, identity, name, dim))
                connection.execute(
                    "UPDATE models SET role = ?, keeps = 0 WHERE role = 'used' AND id != ?",
                    ("kept" if keep else "left", model.id),
                )
                _give(connection, model, Held(model, "used"))
                self._held = tuple(_held(connection))
        else:
            model = known.model
        self._model = model
        return model

    def hold_model(self, model: Model, role: Role, *, keeps: bool = False) -> Model:
        """Has a model that is not in use be coming, kept or left from now on; its number is found by its
        identity. Whatever was coming before, and is not this, is left. Raises ValueError as `use_model`
        does."""
        known = self._known(model)
        if known is None or (known.role, known.keeps) != (role, keeps):
            with self._database.write() as connection:
                model = put_model(connection, model)
                if role == "coming":
                    connection.execute(
                        "UPDATE models SET role = 'left', keeps = 0 WHERE role = 'coming' AND id != ?",
                        (model.id,),
                    )
                _give(connection, model, Held(model, role, keeps))
                self._held = tuple(_held(connection))
                return model
        return known.model

    def lacking(self, model: Model) -> list[int]:
        """The pictures that a file shows, on a root that is online, and that have no vector by that model,
        or one that is to be made again; of the newest file first."""
        with self._database.read() as connection:
            if connection.execute(HAS_ALL, (model.id,)).get:
                return []
            return [id for (id,) in connection.execute(LACKING, (model.id,))]

    def forget_left(self) -> bool:
        """Forgets a piece of a model that was left; whether there may be more. From the first piece on it
        is as if it had never been there: who uses it again has it anew."""
        with self._database.read() as connection:
            if connection.execute(LEFT).get is None:
                # Mostly: after a transaction, though it changed nothing, all is counted anew.
                return False
        with self._database.write() as connection:
            row = connection.execute(LEFT).get
            if row is None:
                return False
            model, role = row
            if role == "left":
                connection.execute(
                    "UPDATE models SET role = 'going', identity = 'going ' || id WHERE id = ?",
                    (model,),
                )
                self._held = tuple(_held(connection))
            elif not _forget_piece(connection, model):
                _drop(connection, model)
            return True

    @property
    def _is_writable(self) -> bool:
        return not self._database.is_immutable

    def _known(self, model: Model) -> Held | None:
        """What is held of it. Raises ValueError."""
        self._held = tuple(self.models())
        known = next((h for h in self._held if h.model.identity == model.identity), None)
        if known is not None and known.model.dim != model.dim:
            raise ValueError(
                f"model {model.identity} has vectors of length {known.model.dim}, not {model.dim}"
            )
        return known


def put_model(connection: apsw.Connection, model: Model) -> Model:
    """Records the model, under its number where it has one that is free. Whatever is known by its
    identity stays as it is, and is returned."""
    known = find_model(connection, model.identity)
    if known is None:
        connection.execute(
            "INSERT INTO models(id, identity, name, dim)"
            " VALUES ((SELECT ?1 WHERE ?1 > 0 AND ?1 NOT IN (SELECT id FROM models)), ?2, ?3, ?4)",
            (model.id, model.identity, model.name, model.dim),
        )
        known = replace(model, id=connection.last_insert_rowid())
        vec0.create(connection, known)
    return known


def find_model(connection: apsw.Connection, identity: str) -> Model | None:
    row = connection.execute(
        "SELECT id, identity, name, dim FROM models WHERE identity = ?", (identity,)
    ).get
    return Model(*row) if row else None


def put_held(connection: apsw.Connection, held: Iterable[Held]) -> None:
    """Records those models, and what they are held for, where no other is held for the same."""
    for each in held:
        model = put_model(connection, each.model)
        connection.execute(
            "UPDATE OR IGNORE models SET role = ?, keeps = ? WHERE id = ?",
            (each.role, each.keeps, model.id),
        )


def _give(connection: apsw.Connection, model: Model, held: Held) -> None:
    connection.execute(
        "UPDATE models SET role = ?, keeps = ?, name = ? WHERE id = ?",
        (held.role, held.keeps, held.model.name, model.id),
    )


def _held(connection: apsw.Connection) -> list[Held]:
    rows = connection.execute(SELECT)
    return [Held(Model(*row), role, bool(keeps)) for *row, role, keeps in rows if role in HELD]


def _forget_piece(connection: apsw.Connection, model: int) -> bool:
    """Whether there was one."""
    name = vec0.table(model)
    there = {each for (each,) in connection.execute("SELECT name FROM sqlite_master")}
    for statement, most in PIECES:
        if "{name}" in statement and f"{name}_rowids" not in there:
            continue
        connection.execute(statement.format(name=name), {"model": model, "most": most}).fetchall()
        if connection.changes():
            return True
    return False


def _drop(connection: apsw.Connection, model: int) -> None:
    """What is left of it is next to nothing."""
    # The same bytes are tried again by whoever comes next.
    connection.execute("UPDATE failures SET model = NULL, decoder = '' WHERE model = ?", (model,))
    vec0.drop(connection, model)
    connection.execute("DELETE FROM models WHERE id = ?", (model,))


def rows(connection: apsw.Connection) -> list[Any]:
    """The columns of `Model` of every model whose table has to be whole."""
    found: list[Any] = connection.execute(
        "SELECT id, identity, name, dim FROM models WHERE role != 'going'"
    ).fetchall()
    return found
