"""A batch of changes, as one transaction."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreError
from imgqd.records import Failed, Failure, Gone, Ignored, Indexed, Moved
from imgqd.store.embeddings import fault, has_embedding, put_embedding
from imgqd.store.part import Part, text
from imgqd.store.pictures import find_picture, put_picture
from imgqd.store.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from imgqd.records import Change, Stamp
    from imgqd.store.records import Committed, Model

# Attempts count as long as it is the same trouble with the same bytes.
FAIL = """
INSERT INTO failures(file, hash, kind, reason, attempts, first_seen, last_seen, decoder, model)
VALUES (:file, :hash, :kind, :reason, 1, :now, :now, :decoder, :model)
ON CONFLICT(file) DO UPDATE SET
    attempts = 1 + iif(
        hash IS excluded.hash AND decoder = excluded.decoder AND model IS excluded.model
        AND (kind = 'unreadable') = (excluded.kind = 'unreadable'),
        attempts, 0),
    hash = excluded.hash, kind = excluded.kind, reason = excluded.reason,
    last_seen = excluded.last_seen, decoder = excluded.decoder, model = excluded.model
"""


class Commits(Part):
    def commit(self, changes: Sequence[Change], now: float) -> Committed:
        """Takes the changes, all or none, in their order; moves that stand side by side take effect
        at once, so that two files can change places. `now` is in seconds since the epoch. A change
        to a path that no root is over is dropped: the root was removed meanwhile. Put a move before
        the Gone of a folder over its source."""
        with self._database.write() as connection:
            batch = _Batch(connection, self._model, self.decoder, now)
            for is_move, group in groupby(changes, key=lambda change: isinstance(change, Moved)):
                if is_move:
                    batch.move([change for change in group if isinstance(change, Moved)])
                else:
                    batch.apply(group)
            return batch.finish()


class _Batch:
    """A commit under way. decoder: the version that failures are of."""

    def __init__(
        self, connection: apsw.Connection, model: Model | None, decoder: str, now: float
    ) -> None:
        self._connection = connection
        self._model = model
        self._decoder = decoder
        self._writing = Writing(connection, model.id if model else None, now)
        self._rejected: list[Failed] = []

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Indexed():
                    self._index(change)
                case Failed():
                    self._fail(change)
                case Ignored(path, stamp):
                    self._place(path, stamp, None)
                case Gone(path):
                    if not self._writing.forget_file(path):
                        self._writing.forget_folder(path)

    def finish(self) -> Committed:
        committed = self._writing.finish()
        committed.rejected.extend(self._rejected)
        return committed

    def move(self, moves: Sequence[Moved]) -> None:
        # every row leaves its name before one takes a new name
        rows = [self._writing.take_away(move.source) for move in moves]
        for move, row in zip(moves, rows, strict=True):
            if row is None or not self._writing.put_down(row, move.path, move.stamp):
                self._writing.again.append(move.path)

    def _index(self, change: Indexed) -> None:
        if self._model is None:
            raise StoreError("a picture cannot be recorded before the model is known")
        picture = self._picture(change, self._model)
        if picture is not None:
            self._place(change.path, change.stamp, picture, trusted=change.trusted)

    def _picture(self, change: Indexed, model: Model) -> int | None:
        """The picture that the file shows, recorded where it is new; None where it cannot be."""
        known = find_picture(self._connection, change.hash)
        if change.embedding is None:
            if known is not None and has_embedding(self._connection, model, known):
                return known
            self._writing.again.append(change.path)
            return None
        vector = np.ascontiguousarray(change.embedding, np.float32)
        if reason := fault(vector, model.dim):
            self._reject(change, reason, model)
            return None
        if change.metadata is not None:
            known = put_picture(self._connection, change.hash, change.metadata, self._writing.now)
        if known is None:
            raise ValueError(f"{change.path!r}: a new picture came without its metadata")
        put_embedding(self._connection, model, known, vector)
        self._writing.embedded[known] = vector
        return known

    def _reject(self, change: Indexed, reason: str, model: Model) -> None:
        failed = Failed(change.path, change.stamp, Failure("crashed", reason), change.hash)
        self._rejected.append(failed)
        self._fail(failed, model=model.id)

    def _fail(self, change: Failed, model: int | None = None) -> None:
        file = self._writing.place(change.path, change.stamp, picture=None, trusted=True)
        if file is not None:
            values = {
                "file": file,
                "hash": change.hash,
                "kind": change.failure.kind,
                "reason": text(change.failure.reason),
                "now": self._writing.now,
                "decoder": self._decoder,
                "model": model,
            }
            self._connection.execute(FAIL, values)

    def _place(self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool = True) -> None:
        file = self._writing.place(path, stamp, picture, trusted)
        if file is not None:
            self._connection.execute("DELETE FROM failures WHERE file = ?", (file,))
