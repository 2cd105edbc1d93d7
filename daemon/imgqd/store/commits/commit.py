"""A batch of changes, as one transaction."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import StoreError
from imgqd.manners.precedence import give_way
from imgqd.records import (
    METADATA,
    Embedded,
    Failed,
    Failure,
    Gone,
    GoneFolder,
    Ignored,
    Indexed,
    Moved,
    Noted,
)
from imgqd.store.commits.moving import move
from imgqd.store.commits.writing import Writing
from imgqd.store.lookup import sidecars
from imgqd.store.part import Part, text
from imgqd.store.pictures import files_of, find_picture, is_shown, put_picture
from imgqd.store.records import Beside
from imgqd.store.vectors.embeddings import fault, has_embedding, put_embedding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw
    from numpy.typing import NDArray

    from imgqd.records import Change, Metadata, Stamp
    from imgqd.store.records import Committed, Model

# Attempts count as long as it is the same trouble with the same bytes, under whatever path where that
# matters: of empty files, whose failure is final, there may be a hundred thousand.
FAIL = """
INSERT INTO failures(file, hash, kind, reason, attempts, first_seen, last_seen, decoder, model)
VALUES (:file, :hash, :kind, :reason, max(1, :tried + coalesce(CASE
    WHEN :kind IN ('crashed', 'timeout') THEN (
        SELECT max(attempts) FROM failures
        WHERE hash = :hash AND decoder = :decoder AND model IS :model AND kind != 'unreadable'
    ) END, 0)), :now, :now, :decoder, :model)
ON CONFLICT(file) DO UPDATE SET
    attempts = max(excluded.attempts, :tried + iif(
        hash IS excluded.hash AND decoder = excluded.decoder AND model IS excluded.model
        AND (kind = 'unreadable') = (excluded.kind = 'unreadable'),
        attempts, 0)),
    hash = excluded.hash, kind = excluded.kind, reason = excluded.reason,
    last_seen = excluded.last_seen, decoder = excluded.decoder, model = excluded.model
"""


NOTED = "UPDATE pictures SET noted = ? WHERE id = ?"


class _BadVector(Exception):
    """What is wrong with an embedding that was to be stored."""


class Commits(Part):
    def commit(self, changes: Sequence[Change], now: float) -> Committed:
        """Takes the changes, all or none, in their order; moves that stand side by side take effect
        at once, so that two files can change places. `now` is in seconds since the epoch. A change
        to a path that no root is over is dropped: the root was removed meanwhile. Put a move before
        the GoneFolder over its source."""
        with self._database.write() as connection:
            batch = _Batch(connection, self._models_told(), self.decoder, now)
            for is_move, group in groupby(changes, key=lambda change: isinstance(change, Moved)):
                if is_move:
                    batch.move([change for change in group if isinstance(change, Moved)])
                else:
                    batch.apply(group)
            return batch.finish()

    def _models_told(self) -> tuple[Model | None, dict[int, Model]]:
        others = {
            held.model.id: held.model for held in self._held if held.role in ("coming", "kept")
        }
        return self._model, others


class _Batch:
    """A commit under way. models: the one in use, where that is known, and all others that are held.
    decoder: the version that failures are of."""

    def __init__(
        self,
        connection: apsw.Connection,
        models: tuple[Model | None, dict[int, Model]],
        decoder: str,
        now: float,
    ) -> None:
        self._connection = connection
        self._model, self._others = models
        self._decoder = decoder
        self._writing = Writing(connection, self._model_id, now)
        self._rejected: list[Failed] = []
        self._beside: list[Beside] = []

    @property
    def _model_id(self) -> int | None:
        return self._model.id if self._model else None

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            give_way()
            match change:
                case Indexed():
                    self._index(change)
                case Failed():
                    self._fail(change)
                case Ignored():
                    self._ignore(change)
                case Gone(path):
                    self._writing.forget_file(path)
                case GoneFolder(path):
                    self._writing.forget_folder(path)
                case Embedded(hash, metadata, embedding, None):
                    self._keep(hash, metadata, embedding)
                case Embedded(hash, _, embedding, int(model)):
                    self._put_beside(hash, embedding, model)
                case Noted(hash, metadata):
                    self._note(hash, metadata)

    def finish(self) -> Committed:
        committed = self._writing.finish()
        committed.rejected.extend(self._rejected)
        committed.beside.extend(
            each for each in self._beside if is_shown(self._connection, each.picture)
        )
        return committed

    def move(self, moves: Sequence[Moved]) -> None:
        move(self._writing, moves)

    def _index(self, change: Indexed) -> None:
        picture = self._picture(change)
        if picture is not None:
            self._place(change.path, change.stamp, picture, trusted=change.trusted)

    def _ignore(self, change: Ignored) -> None:
        file = self._place(change.path, change.stamp, None, change.trusted)
        if file is not None:
            sidecars.put(self._connection, file, change.notes)

    def _picture(self, change: Indexed) -> int | None:
        """The picture that the file shows, recorded where it is new; None where it cannot be."""
        if change.embedding is not None:
            try:
                return self._embed(change.hash, change.metadata, change.embedding)
            except _BadVector as bad:
                self._reject(change, str(bad))
                return None
        known = find_picture(self._connection, change.hash)
        if known is not None and has_embedding(self._connection, self._known_model, known):
            return known
        self._writing.account.again.append(change.path)
        return None

    def _keep(self, hash: bytes, metadata: Metadata, embedding: NDArray[np.float32]) -> None:
        # no file shows it that could be marked as failed
        with suppress(_BadVector):
            self._embed(hash, metadata, embedding)

    def _put_beside(self, hash: bytes, embedding: NDArray[np.float32], model: int) -> None:
        """A model that is no longer held, and a picture that is forgotten, need none."""
        known, held = find_picture(self._connection, hash), self._others.get(model)
        vector = np.ascontiguousarray(embedding, np.float32)
        if known is not None and held is not None and fault(vector, held.dim) is None:
            put_embedding(self._connection, held, known, vector)
            self._beside.append(Beside(known, vector, model))

    def _note(self, hash: bytes, metadata: Metadata | None) -> None:
        picture = find_picture(self._connection, hash)
        if picture is None:
            return
        if metadata is None:
            self._connection.execute(NOTED, (METADATA, picture))
        else:
            put_picture(self._connection, hash, metadata, self._writing.now)
            self._writing.account.note_files(files_of(self._connection, picture))

    def _embed(self, hash: bytes, metadata: Metadata | None, embedding: NDArray[np.float32]) -> int:
        """The picture, recorded with its embedding. Raises _BadVector."""
        model, vector = self._known_model, np.ascontiguousarray(embedding, np.float32)
        if reason := fault(vector, model.dim):
            raise _BadVector(reason)
        if metadata is not None:
            picture = put_picture(self._connection, hash, metadata, self._writing.now)
            self._writing.account.note_files(files_of(self._connection, picture))
        else:
            known = find_picture(self._connection, hash)
            if known is None:
                raise ValueError(f"{hash.hex()}: a new picture came without its metadata")
            picture = known
        put_embedding(self._connection, model, picture, vector)
        self._writing.account.embedded[picture] = vector
        return picture

    @property
    def _known_model(self) -> Model:
        if self._model is None:
            raise StoreError("a picture cannot be recorded before the model is known")
        return self._model

    def _reject(self, change: Indexed, reason: str) -> None:
        failure = Failure("crashed", reason)
        failed = Failed(change.path, change.stamp, failure, change.hash, of_model=True)
        self._rejected.append(failed)
        self._fail(failed)

    def _fail(self, change: Failed) -> None:
        file = self._writing.place(change.path, change.stamp, picture=None, trusted=True)
        if file is not None:
            values = {
                "file": file,
                "hash": change.hash,
                "kind": change.failure.kind,
                "reason": text(change.failure.reason),
                "now": self._writing.now,
                "decoder": self._decoder,
                "model": self._known_model.id if change.of_model else None,
                "tried": change.tried,
            }
            self._connection.execute(FAIL, values)

    def _place(
        self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool = True
    ) -> int | None:
        file = self._writing.place(path, stamp, picture, trusted)
        if file is not None:
            self._connection.execute("DELETE FROM failures WHERE file = ?", (file,))
        return file
