"""The rows of files: what a look at the disk is compared with."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from imgqd.records import Stamp
from imgqd.store.folders import UNDER, join, under
from imgqd.store.part import Part, fit
from imgqd.store.pictures import ledger_entry
from imgqd.store.records import FileState, LedgerEntry, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw

# the failure of another model's vector is one of a decoder that nobody has: to be tried again
ROW = """
SELECT folders.path, files.name, size, mtime_ns, ctime_ns, files.inode, files.device, trusted,
    files.picture, sums.picture, kind, reason, attempts, first_seen, last_seen,
    iif(failures.model IS NULL OR failures.model = :model, decoder, ''),
    trusted AND failures.file IS NULL AND (files.picture IS NULL) = (sums.picture IS NULL)
FROM files JOIN folders ON folders.id = files.folder
LEFT JOIN embedding_sums sums
    ON sums.picture = files.picture AND sums.model = :model AND NOT sums.stale
LEFT JOIN failures ON failures.file = files.id
"""
NAMED = "folders.path = :folder AND files.name > :after AND files.name <= :last"
# behind every name that a file can have
LAST = b"\xff" * 256
NAME = 1
# a row of ROW, still as the database has it; `row` tells what it says
Listed = tuple[Any, ...]
# a multiplier scatters what was added together
SAMPLE = """
SELECT files.id FROM folders CROSS JOIN files ON files.folder = folders.id
WHERE root = (SELECT id FROM roots WHERE path = :root)
ORDER BY files.id * 2654435761 % 4294967296 LIMIT :most
"""
MOST_INODES = 5000
AT_OR_UNDER = f"""
SELECT files.id FROM folders JOIN files ON files.folder = folders.id WHERE {UNDER}
UNION SELECT files.id FROM folders JOIN files ON files.folder = folders.id
    WHERE folders.path = :parent AND files.name = :name
"""
UNTRUST = f"UPDATE files SET trusted = 0 WHERE id IN ({AT_OR_UNDER})"
RETRY = f"UPDATE failures SET decoder = '' WHERE file IN ({AT_OR_UNDER})"
STALE = f"""
UPDATE embedding_sums SET stale = 1
WHERE model IN (SELECT id FROM models WHERE {{}}) AND picture IN
    (SELECT picture FROM files WHERE id IN ({AT_OR_UNDER}))
"""


class Files(Part):
    def listed(self, folder: bytes, after: bytes = b"", last: bytes = LAST) -> Iterator[Listed]:
        """Every known file of the folder itself, in the order of names, as of one moment: as a look at the
        folder takes it, of which most need no more than to be compared. after, last: only those whose
        names come after the one, and not after the other."""
        with self._database.read() as connection:
            found = connection.execute(
                f"{ROW} WHERE {NAMED} ORDER BY files.name",
                {"model": self._model_id, "folder": folder, "after": after, "last": last},
            )
            yield from found

    def rows(self, folder: bytes) -> dict[bytes, Row]:
        """Every known file of the folder itself, by name."""
        return {listed[NAME]: row(listed) for listed in self.listed(folder)}

    def by_inode(self, inodes: Iterable[int]) -> Iterator[tuple[bytes, Row]]:
        """Known files, with their paths, that had one of these inodes, on whatever device: where new
        files may have come from."""
        wanted = [fit(inode) for inode in inodes]
        with self._database.read() as connection:
            for first in range(0, len(wanted), MOST_INODES):
                found = connection.execute(
                    f"{ROW} WHERE files.inode IN (SELECT value FROM json_each(:inodes))",
                    {
                        "model": self._model_id,
                        "inodes": json.dumps(wanted[first : first + MOST_INODES]),
                    },
                )
                for columns in found:
                    yield join(columns[0], columns[1]), row(columns)

    def sample(self, root: bytes, most: int) -> list[tuple[bytes, Row]]:
        """Some known files of a root, from all over it, with their paths."""
        with self._database.read() as connection:
            ids: list[Any] = connection.execute(SAMPLE, {"root": root, "most": most}).fetchall()
            found = connection.execute(
                f"{ROW} WHERE files.id IN (SELECT value FROM json_each(:ids))",
                {"model": self._model_id, "ids": json.dumps([id for (id,) in ids])},
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
            stale = _change(connection, STALE.format("id = :model"), paths, self._model_id)
            _change(connection, STALE.format("role IN ('coming', 'kept')"), paths)
            return stale + _change(connection, RETRY, paths)


def is_at_rest(listed: Listed, seen: os.stat_result, steady: bool) -> bool:
    """Whether there is nothing to do for a file that is this now. Not told of each of which it is so, but
    of nearly all of a million files, and in a tenth of the time that a look at its row takes."""
    return (
        listed[-1]
        and listed[2] == seen.st_size
        and listed[3] == seen.st_mtime_ns
        and (not steady or (listed[4] == seen.st_ctime_ns and listed[5] == seen.st_ino))
    )


def is_same(known: Stamp, seen: os.stat_result, steady: bool) -> bool:
    """Whether the stamps mean the same bytes. Devices are numbered anew at each mount."""
    if (known.size, known.mtime_ns) != (seen.st_size, seen.st_mtime_ns):
        return False
    return not steady or (known.ctime_ns, known.inode) == (seen.st_ctime_ns, seen.st_ino)


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
