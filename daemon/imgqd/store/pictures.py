"""Pictures: what files show, each once. One that no file shows keeps its embedding for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgqd.records import LOST, METADATA, Failure, Metadata, Precedent
from imgqd.store import notes
from imgqd.store.part import Part, text
from imgqd.store.records import LedgerEntry, Picture
from imgqd.store.vectors import vec0

if TYPE_CHECKING:
    import apsw

    from imgqd.store.records import Model

OF_PICTURES = ("hash", "format", "width", "height", "orientation", "pixels", *notes.NAMES)
COLUMNS = ", ".join(f"pictures.{name}" for name in ("id", *OF_PICTURES))
# what only a look for copies reads is not among them
KEPT = (*OF_PICTURES, "imprint", "noted")
PUT = f"""
INSERT INTO pictures({", ".join(KEPT)}, orphaned_at) VALUES ({", ".join("?" for _ in KEPT)}, ?)
ON CONFLICT(hash) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in KEPT[1:])}
RETURNING id
"""


FORGOTTEN_AT_ONCE = 2000
UNNOTED = """
SELECT pictures.id FROM pictures CROSS JOIN files ON files.picture = pictures.id
CROSS JOIN folders ON folders.id = files.folder CROSS JOIN roots ON roots.id = folders.root
WHERE noted < ? AND roots.state = 'online' GROUP BY pictures.id ORDER BY max(files.mtime_ns) DESC
"""


class Pictures(Part):
    def known(self, hash: bytes, model: Model | None = None) -> int | None:
        """The picture of those bytes, where it has an embedding, by the model in use or another, that is
        not to be made again: nothing has to be embedded for a file that shows it."""
        with self._database.read() as connection:
            picture: int | None = connection.execute(
                "SELECT id FROM pictures JOIN embedding_sums ON picture = id AND model = ?"
                " WHERE hash = ? AND NOT stale",
                ((model or self.model).id, hash),
            ).get
            return picture

    def failed_hash(self, hash: bytes, model: Model | None = None) -> Precedent | None:
        """The failure of those bytes, under whatever path: where there is one, that which is final for the
        decoder in use, and for the model in use or another; else one that a decoder was lost by."""
        found = None
        with self._database.read() as connection:
            entries = connection.execute(
                "SELECT kind, reason, attempts, first_seen, last_seen, decoder FROM failures"
                " WHERE hash = ? AND (model IS NULL OR model = ?)",
                (hash, model.id if model else self._model_id),
            )
            for known in map(ledger_entry, entries):
                if known.is_final(self.decoder):
                    # The first of many copies will do.
                    entries.close(force=True)
                    return Precedent(known.failure, is_final=True)
                if known.failure.kind in LOST:
                    found = Precedent(known.failure, is_final=False)
            return found

    def unnoted(self) -> list[int]:
        """The pictures whose metadata was read by an older imgq, of the newest file first; those on roots
        that are offline are left out."""
        with self._database.read() as connection:
            return [id for (id,) in connection.execute(UNNOTED, (METADATA,))]

    def forget_orphans(self, before: float) -> list[int]:
        """Forgets the pictures, with their embeddings by every model, that no file has shown since
        before that time (seconds since the epoch), and what left a file before it; returns them. Some at a
        time: who writes waits for each, and the log holds all that one transaction changes."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM departures WHERE noticed < ?", (int(before * 1e9),))
        forgotten: list[int] = []
        while some := self._forget_some(before):
            forgotten += some
        return forgotten

    def _forget_some(self, before: float) -> list[int]:
        with self._database.write() as connection:
            orphans: list[Any] = connection.execute(
                "SELECT id FROM pictures WHERE orphaned_at < ? LIMIT ?", (before, FORGOTTEN_AT_ONCE)
            ).fetchall()
            for (picture,) in orphans:
                _forget(connection, picture)
            return [picture for (picture,) in orphans]


def _forget(connection: apsw.Connection, picture: int) -> None:
    models: list[Any] = connection.execute(
        "SELECT model FROM embedding_sums WHERE picture = ?", (picture,)
    ).fetchall()
    for (model,) in models:
        vec0.delete(connection, model, picture)
    connection.execute("DELETE FROM pictures WHERE id = ?", (picture,))


def find_picture(connection: apsw.Connection, hash: bytes) -> int | None:
    id: int | None = connection.execute("SELECT id FROM pictures WHERE hash = ?", (hash,)).get
    return id


def is_shown(connection: apsw.Connection, picture: int) -> bool:
    """Whether a file shows it."""
    shown = connection.execute(
        "SELECT orphaned_at IS NULL FROM pictures WHERE id = ?", (picture,)
    ).get
    return bool(shown)


def put_picture(connection: apsw.Connection, hash: bytes, metadata: Metadata, now: float) -> int:
    """Records a picture, or its metadata anew. A new one is an orphan until a file is seen to show
    it."""
    values = (*columns(hash, metadata), metadata.imprint, METADATA, now)
    id: int = connection.execute(PUT, values).get
    return id


def files_of(connection: apsw.Connection, picture: int) -> list[int]:
    """The files that show it."""
    rows = connection.execute("SELECT id FROM files WHERE picture = ?", (picture,))
    return [id for (id,) in rows]


def columns(hash: bytes, metadata: Metadata) -> tuple[Any, ...]:
    """The values of OF_PICTURES."""
    kind = text(metadata.format)
    of_all = (hash, kind, metadata.width, metadata.height, metadata.orientation, metadata.pixels)
    return *of_all, *notes.columns(metadata.notes)


def picture(columns: tuple[Any, ...]) -> Picture:
    """A picture of the columns COLUMNS."""
    id, hash, kind, width, height, orientation, pixels, *rest = columns
    known = notes.notes(tuple(rest))
    return Picture(id, hash, Metadata(kind, width, height, known, orientation, pixels))


def ledger_entry(columns: tuple[Any, ...]) -> LedgerEntry:
    """A ledger entry of kind, reason, attempts, first_seen, last_seen, decoder."""
    return LedgerEntry(Failure(columns[0], columns[1]), *columns[2:])
