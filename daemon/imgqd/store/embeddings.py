"""Embeddings by the model in use, each with a checksum."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from imgqd.store import vec0
from imgqd.store.part import Part
from imgqd.store.records import Block, Model
from imgqd.store.sums import checksum, checksums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw
    from numpy.typing import NDArray

BLOCK = 64  # chunks a block of `resident`
UNIT = 0.02  # how far the square of a norm may lie from 1: bfloat16 comes this near
SUM = np.dtype([("picture", np.int64), ("hash", "V16"), ("checksum", np.int64)])


class Embeddings(Part):
    def use_model(self, identity: str, name: str, dim: int) -> Model:
        """Makes this the model of all that is asked and told from now on; `identity` tells it from
        every other, its weights included. The vectors of other models stay. Raises ValueError where
        the identity is known with another length."""
        with self._database.write() as connection:
            model = _model(connection, identity)
            if model is None:
                connection.execute(
                    "INSERT INTO models(identity, name, dim) VALUES (?, ?, ?)",
                    (identity, name, dim),
                )
                model = Model(connection.last_insert_rowid(), identity, name, dim)
                vec0.create(connection, model)
        if model.dim != dim:
            raise ValueError(f"model {identity} has vectors of length {model.dim}, not {dim}")
        self._model = model
        return model

    def resident(self) -> Iterator[Block]:
        """Every embedding of a picture that some file shows, offline ones too, each checked; in no
        order, a few thousand a block. All blocks are of one moment: take them at once. The last one
        names the pictures whose vector is missing."""
        with self._database.read() as connection:
            sums = _sums(connection, self.model)
            missing = np.ones(len(sums), bool)
            chunks = vec0.chunks(connection, self.model)
            while block := list(islice(chunks, BLOCK)):
                ids, vectors = (np.concatenate(parts) for parts in zip(*block, strict=True))
                yield _checked(ids, vectors, sums, missing)
            if missing.any():
                none = np.empty(0, np.int64), np.empty((0, self.model.dim), np.float32)
                yield Block(*none, sums["picture"][missing].tolist())

    def vectors(self, pictures: Iterable[int]) -> dict[int, NDArray[np.float32]]:
        """The embeddings of those pictures that have one: float32, (dim,), read-only."""
        with self._database.read() as connection:
            found = connection.execute(
                f"SELECT e.picture, e.embedding FROM json_each(?) j"
                f" CROSS JOIN {vec0.table(self.model.id)} e ON e.picture = j.value",
                (json.dumps(sorted({int(picture) for picture in pictures})),),
            )
            return {picture: np.frombuffer(vector, np.float32) for picture, vector in found}

    def forget_embeddings(self, pictures: Sequence[int]) -> None:
        """Forgets the embeddings of those pictures by the model in use: their files are pending."""
        with self._database.write() as connection:
            for picture in pictures:
                _forget(connection, self.model, picture)

    def compact(self, chunks: int = 16) -> bool:
        """Deleted vectors leave holes: empties up to so many chunks that are more than half holes
        into the last one, in a transaction. Returns whether there may be more of them."""
        with self._database.write() as connection:
            sparse = vec0.sparse(connection, self.model.id)[:chunks]
            for chunk in sparse:
                for ids, vectors in list(vec0.chunks(connection, self.model, chunk)):
                    for picture, vector in zip(ids.tolist(), vectors, strict=True):
                        vec0.delete(connection, self.model.id, picture)
                        vec0.insert(connection, self.model.id, picture, vector.tobytes())
            return len(sparse) == chunks


def put_embedding(
    connection: apsw.Connection, model: Model, picture: int, vector: NDArray[np.float32]
) -> None:
    """Records the embedding of a picture, new or not."""
    data = vector.tobytes()
    known = connection.execute(
        "SELECT 1 FROM embedding_sums WHERE picture = ? AND model = ?", (picture, model.id)
    ).get
    # an update leaves no hole
    if not known or not vec0.update(connection, model.id, picture, data):
        vec0.insert(connection, model.id, picture, data)
    hash = connection.execute("SELECT hash FROM pictures WHERE id = ?", (picture,)).get
    connection.execute(
        "INSERT OR REPLACE INTO embedding_sums(picture, model, checksum) VALUES (?, ?, ?)",
        (picture, model.id, checksum(hash, vector)),
    )


def has_embedding(connection: apsw.Connection, model: Model, picture: int) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM embedding_sums WHERE picture = ? AND model = ?", (picture, model.id)
        ).get
    )


def fault(vector: NDArray[np.float32], dim: int) -> str | None:
    """What is wrong with a vector that is to be stored."""
    if vector.shape != (dim,):
        return f"the model gave a vector of shape {vector.shape} in place of ({dim},)"
    square = float(vector @ vector)
    if not abs(square - 1) <= UNIT:  # NaN is no number, and not near one either
        return f"the model gave a vector of norm {square**0.5:.3g} in place of 1"
    return None


def _model(connection: apsw.Connection, identity: str) -> Model | None:
    row = connection.execute(
        "SELECT id, identity, name, dim FROM models WHERE identity = ?", (identity,)
    ).get
    return Model(*row) if row else None


def _forget(connection: apsw.Connection, model: Model, picture: int) -> None:
    vec0.delete(connection, model.id, picture)
    connection.execute(
        "DELETE FROM embedding_sums WHERE picture = ? AND model = ?", (picture, model.id)
    )


def _sums(connection: apsw.Connection, model: Model) -> NDArray[np.void]:
    """SUM, (n,): the pictures that a file shows, ascending, each with the checksum of its vector."""
    rows = connection.execute(
        "SELECT picture, hash, checksum FROM embedding_sums JOIN pictures ON id = picture"
        " WHERE model = ? AND orphaned_at IS NULL ORDER BY picture",
        (model.id,),
    )
    return np.fromiter(rows, SUM)


def _checked(
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    sums: NDArray[np.void],
    missing: NDArray[np.bool_],
) -> Block:
    """A block of those vectors that are `missing` yet and whose checksum holds; they are no longer
    missing."""
    places = np.searchsorted(sums["picture"], ids)
    known = places < len(sums)
    known[known] = sums["picture"][places[known]] == ids[known]
    known[known] = missing[places[known]]
    ids, vectors, places = ids[known], vectors[known], places[known]
    good = checksums(sums["hash"][places], vectors) == sums["checksum"][places]
    # a damaged table may hold one twice
    places, first = np.unique(places[good], return_index=True)
    missing[places] = False
    return Block(ids[good][first], vectors[good][first], [])
