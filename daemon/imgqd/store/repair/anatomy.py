"""A vec0 table looked at from every side: by the tables it is kept in, and by the checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import numpy as np

from imgqd.store.repair.rebuild import SUMS
from imgqd.store.vectors import vec0
from imgqd.store.vectors.sums import Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgqd.store.records import Model

INFO = "SELECT count(*) FROM {name}_info WHERE key LIKE 'CREATE_VERSION%' AND value IS NOT NULL"
INFOS = 4  # the version of vec0, in whole and in its three parts
# the chunks that are not of the form that vec0 gives them
MISSHAPEN = """
SELECT count(*) FROM {name}_chunks LEFT JOIN {name}_vector_chunks00 parts ON parts.rowid = chunk_id
WHERE size IS NOT :size OR parts._rowid_ IS NOT chunk_id
    OR (typeof(validity), typeof(rowids), typeof(vectors)) IS NOT ('blob', 'blob', 'blob')
    OR (length(validity) * 8, length(rowids), length(vectors))
        IS NOT (:size, :size * 8, :size * :dim * 4)
"""
UNCLAIMED = """
SELECT count(*) FROM {name}_vector_chunks00 WHERE rowid NOT IN (SELECT chunk_id FROM {name}_chunks)
"""
NAMED = "SELECT count(*) FROM {name}_rowids WHERE id IS NOT NULL"
CHUNKS = "SELECT chunk_id, validity, rowids FROM {name}_chunks"
ROWIDS = "SELECT rowid, chunk_id, chunk_offset FROM {name}_rowids"
PLACE = np.dtype([("picture", np.int64), ("chunk", np.int64), ("offset", np.int64)])


class Anatomy:
    """What is wrong with a model's table. faults: in words; lost: the pictures that should have a
    vector and have no sound one."""

    def __init__(self, connection: apsw.Connection, model: Model) -> None:
        self.faults: list[str] = []
        self._connection = connection
        self._name = vec0.table(model.id)
        self._model = model
        sums = Sums(connection.execute(SUMS, (model.id,)))
        for ids, vectors in vec0.chunks(connection, model):
            sums.sound(ids, vectors)
        self.lost = sums.missing
        try:
            self._look(sums)
        except (apsw.SQLError, TypeError, ValueError) as error:
            # a table, a column, or a number is not what it should be
            self.faults.append(f"it cannot be read: {error}")

    def _look(self, sums: Sums) -> None:
        lacking = vec0.lacking(self._connection, self._model.id)
        self._note(len(lacking), f"it lacks {', '.join(lacking)}")
        self._note(INFOS - self._count(INFO), "vec0 does not know its version")
        shape = {"size": vec0.CHUNK, "dim": self._model.dim}
        self._note(self._count(MISSHAPEN, shape), "{} of its chunks are not whole")
        self._note(self._count(NAMED), "{} rows have a second name")
        self._note(self._count(UNCLAIMED), "{} runs of its vectors belong to no chunk")
        told, (used, unused) = self._told(), self._places()
        self._note(len(np.setxor1d(told, used)), "{} rows and places do not agree")
        self._note(
            np.count_nonzero(unused["picture"]).item(), "{} places that are not in use have a row"
        )
        strange = np.setdiff1d(used["picture"], np.array(sums.pictures, np.int64))
        self._note(len(strange), "{} vectors are nobody's")

    def _note(self, count: int, words: str) -> None:
        if count:
            self.faults.append(words.format(count))

    def _count(self, select: str, bindings: dict[str, int] | None = None) -> int:
        return int(self._connection.execute(select.format(name=self._name), bindings).get)

    def _told(self) -> NDArray[np.void]:
        """Where the table of rowids has each picture's vector: picture, chunk, offset."""
        return np.fromiter(self._connection.execute(ROWIDS.format(name=self._name)), PLACE)

    def _places(self) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """The same by the chunks, for the places that are in use and for those that are not."""
        parts = [_places(*row) for row in self._connection.execute(CHUNKS.format(name=self._name))]
        used, unused = zip(*parts, strict=True) if parts else ((), ())
        none = np.empty(0, PLACE)
        return np.concatenate([none, *used]), np.concatenate([none, *unused])


def _places(chunk: int, validity: Any, rowids: Any) -> tuple[NDArray[np.void], NDArray[np.void]]:
    used = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little").view(bool)
    ids = np.frombuffer(rowids[: len(used) * 8], np.int64)
    places = np.zeros(len(ids), PLACE)
    places["picture"], places["chunk"], places["offset"] = ids, chunk, np.arange(len(ids))
    return places[used[: len(ids)]], places[~used[: len(ids)]]
