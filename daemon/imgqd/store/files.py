"""The rows of files: what a look at the disk is compared with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgqd.records import Stamp
from imgqd.store.folders import UNDER, join, under
from imgqd.store.part import Part, fit
from imgqd.store.pictures import ledger_entry
from imgqd.store.records import FileState, LedgerEntry, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

# the failure of another model's vector is one of a decoder that nobody has: to be tried again
ROW = """
SELECT folders.path, files.name, size, mtime_ns, ctime_ns, files.inode, files.device, trusted,
    files.picture, sums.picture, kind, reason, attempts, first_seen, last_seen,
    iif(failures.model IS NULL OR failures.model = :model, decoder, '')
FROM files JOIN folders ON folders.id = files.folder
LEFT JOIN embedding_sums sums
    ON sums.picture = files.picture AND sums.model = :model AND NOT sums.stale
LEFT JOIN failures ON failures.file = files.id
"""
AT_OR_UNDER = f"""
SELECT files.id FROM folders JOIN files ON files.folder = folders.id WHERE {UNDER}
UNION SELECT files.id FROM folders JOIN files ON files.folder = folders.id
    WHERE folders.path = :parent AND files.name = :name
"""
UNTRUST = f"UPDATE files SET trusted = 0 WHERE id IN ({AT_OR_UNDER})"
RETRY = f"UPDATE failures SET decoder = '' WHERE file IN ({AT_OR_UNDER})"
STALE = f"""
UPDATE embedding_sums SET stale = 1 WHERE model = :model AND picture IN
    (SELECT picture FROM files WHERE id IN ({AT_OR_UNDER}))
"""


class Files(Part):
    def rows(self, folder: bytes) -> dict[bytes, Row]:
        """Every known file of the folder itself, by name."""
        with self._database.read() as connection:
            found = connection.execute(
                f"{ROW} WHERE folders.path = :folder", {"model": self._model_id, "folder": folder}
            )
            return {columns[1]: row(columns) for columns in found}

    def by_inode(self, inode: int, device: int) -> list[tuple[bytes, Row]]:
        """Known files, with their paths, that had this inode: where a new file may have come
        from."""
        with self._database.read() as connection:
            found = connection.execute(
                f"{ROW} WHERE files.inode = :inode AND files.device = :device",
                {"model": self._model_id, "inode": fit(inode), "device": fit(device)},
            )
            return [(join(columns[0], columns[1]), row(columns)) for columns in found]

    def mark_untrusted(self, paths: Sequence[bytes] | None = None) -> int:
        """The files at or under the paths, or all, are to be read again at the next look; their
        number."""
        with self._database.write() as connection:
            return _change(connection, UNTRUST, paths)

    def retry(self, paths: Sequence[bytes] | None = None) -> int:
        """The failures at or under the paths, or all, are to be tried again; their number."""
        with self._database.write() as connection:
            return _change(connection, RETRY, paths)

    def reindex(self, paths: Sequence[bytes] | None = None) -> int:
        """The pictures at or under the paths, or all, are pending: to be embedded again, and in
        answers until then. Failures are to be tried again. The number of both."""
        with self._database.write() as connection:
            stale = _change(connection, STALE, paths, self._model_id)
            return stale + _change(connection, RETRY, paths)


def row(columns: tuple[Any, ...]) -> Row:
    """A row of the columns of ROW."""
    stamp = Stamp(*map(int, columns[2:7]))
    ledger = None if columns[10] is None else ledger_entry(columns[10:16])
    return Row(stamp, bool(columns[7]), _state(columns[8], columns[9], ledger), ledger)


def _state(picture: int | None, embedded: int | None, ledger: LedgerEntry | None) -> FileState:
    if picture is not None:
        return "pending" if embedded is None else "indexed"
    return "ignored" if ledger is None else "failed"


def _change(
    connection: apsw.Connection,
    update: str,
    paths: Sequence[bytes] | None,
    model: int | None = None,
) -> int:
    changed = 0
    for path in [b"/"] if paths is None else paths:
        parent, name = os.path.split(path)
        connection.execute(
            update, {**under(path), "parent": parent, "name": name, "model": model}
        ).fetchall()
        changed += connection.changes()
    return changed
