"""Embeddings, each with a checksum: by the model in use, unless another is named."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreDamaged, StoreError
from imgqd.store.lookup.lookup import numbers
from imgqd.store.records import Block, Model
from imgqd.store.repair.rebuild import rebuild
from imgqd.store.vectors import vec0
from imgqd.store.vectors.models import Models
from imgqd.store.vectors.sums import COLUMNS, SUM, Sums, checksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw
    from numpy.typing import NDArray

BLOCK = 64  # chunks a block of `resident`
EMPTIED = 16  # chunks a transaction
UNIT = 0.02  # how far the square of a norm may lie from 1: bfloat16 comes this near
SHOWN = f"""
SELECT {COLUMNS} FROM embedding_sums JOIN pictures ON id = picture
WHERE model = ? AND orphaned_at IS NULL ORDER BY picture
"""
SOME = f"""
SELECT {COLUMNS} FROM json_each(?2) CROSS JOIN embedding_sums ON picture = value
CROSS JOIN pictures ON pictures.id = picture WHERE model = ?1
"""
CHECKSUMS = """
SELECT group_concat(CAST(picture AS INTEGER)),
    group_concat(coalesce(CAST(checksum AS INTEGER), 0)) FROM embedding_sums WHERE model = ?
"""
ORPHANS = "SELECT group_concat(id) FROM pictures WHERE orphaned_at IS NOT NULL"


class Embeddings(Models):
    def resident(self, model: Model | None = None) -> Iterator[Block]:
        """Every embedding of a picture that some file shows, offline ones too, each checked; in no
        order, a few thousand a block. All blocks are of one moment: take them at once. The last one
        names the pictures whose vector is missing."""
        model = model or self.model
        with self._database.read() as connection:
            sums = Sums(connection.execute(SHOWN, (model.id,)))
            chunks = vec0.chunks(connection, model)
            while block := list(islice(chunks, BLOCK)):
                ids, vectors = (np.concatenate(parts) for parts in zip(*block, strict=True))
                yield Block(*sums.sound(ids, vectors), [])
            if sums.missing:
                none = np.empty(0, np.int64), np.empty((0, model.dim), np.float32)
                yield Block(*none, sums.missing)

    def sums(self, model: Model | None = None) -> NDArray[np.void]:
        """Whose embeddings there are, of pictures that some file shows, offline ones too, and their
        checksums: `sums.SUM`, (n,), by ascending picture."""
        with self._database.read() as connection:
            return np.fromiter(connection.execute(SHOWN, ((model or self.model).id,)), SUM)

    def checksums(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pictures, ascending, and the checksums of the same: int64, (n,). Takes a fourth of the
        time."""
        with self._database.read() as connection:
            found = connection.execute(CHECKSUMS, (self.model.id,)).get
            orphans = connection.execute(ORPHANS).get
        pictures, checksums = map(numbers, found)
        order = np.argsort(pictures, kind="stable")
        shown = order[~np.isin(pictures[order], numbers(orphans))]
        return pictures[shown], checksums[shown]

    def vectors(
        self, pictures: Iterable[int], model: Model | None = None
    ) -> dict[int, NDArray[np.float32]]:
        """The embeddings of those pictures that have a sound one: float32, (dim,), read-only. One
        that is not is forgotten: its files are pending."""
        model = model or self.model
        ids = json.dumps(sorted({int(picture) for picture in pictures}))
        with self._database.read() as connection:
            sums = Sums(connection.execute(SOME, (model.id, ids)))
            sound = sums.sound(*vec0.some(connection, model, sums.pictures))
        if sums.missing:
            # as good at another time: while the disk is full, or the index is not to be written
            with suppress(StoreError):
                self.forget_embeddings(sums.missing, model)
        return dict(zip(sound[0].tolist(), sound[1], strict=True))

    def forget_embeddings(self, pictures: Sequence[int], model: Model | None = None) -> None:
        """Forgets the embeddings of those pictures: by the model in use, their files are pending."""
        with self._database.write(whole=False) as connection:
            model = model or self.model
            if not vec0.is_going(connection, model.id):
                forget(connection, model, pictures)

    def compact(self) -> bool:
        """Deleted vectors leave holes: empties some of the chunks that are more than half holes
        into the last one, in a transaction. Returns whether there may be more of them."""
        with self._database.write() as connection:
            sparse = vec0.sparse(connection, self.model.id)[:EMPTIED]
            for chunk in sparse:
                for ids, vectors in list(vec0.chunks(connection, self.model, chunk)):
                    for picture, vector in zip(ids.tolist(), vectors, strict=True):
                        vec0.delete(connection, self.model.id, picture)
                        vec0.put(connection, self.model.id, picture, vector.tobytes())
            return len(sparse) == EMPTIED


def put_embedding(
    connection: apsw.Connection, model: Model, picture: int, vector: NDArray[np.float32]
) -> None:
    """Records the embedding of a picture, new or not."""
    vec0.put(connection, model.id, picture, vector.tobytes())
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


def forget(connection: apsw.Connection, model: Model, pictures: Sequence[int]) -> None:
    """Forgets those embeddings, though their table may be damaged: it is made anew then."""
    connection.executemany(
        "DELETE FROM embedding_sums WHERE picture = ? AND model = ?",
        [(picture, model.id) for picture in pictures],
    )
    try:
        if vec0.lacking(connection, model.id):
            raise StoreDamaged("the vectors of the index are damaged")
        for picture in pictures:
            vec0.delete(connection, model.id, picture)
    except StoreDamaged:
        rebuild(connection, model)


def fault(vector: NDArray[np.float32], dim: int) -> str | None:
    """What is wrong with a vector that is to be stored."""
    if vector.shape != (dim,):
        return f"the model gave a vector of shape {vector.shape} in place of ({dim},)"
    square = float(vector @ vector)
    if not abs(square - 1) <= UNIT:  # NaN is no number, and not near one either
        return f"the model gave a vector of norm {square**0.5:.3g} in place of 1"
    return None
