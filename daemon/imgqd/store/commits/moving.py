"""Moves, which read nothing: a folder that was renamed is one row, however many files it holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgqd.store.commits.writing import columns
from imgqd.store.folders import UNDER, under
from imgqd.store.lookup import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgqd.records import Moved, Stamp
    from imgqd.store.commits.writing import Writing

ROWS = "SELECT name, id, size, mtime_ns, ctime_ns, inode, device FROM files WHERE folder = ?"
DEVICE = "UPDATE files SET device = ? WHERE id = ?"


def move(writing: Writing, moves: Sequence[Moved]) -> None:
    """All at once, so that two files can change places; what could not be moved is for `again`."""
    files = _by_file(writing, moves)
    rest = [each for each in files if not writing.carry(each.source, each.path, each.stamp)]
    # every row leaves its name before one takes a new name
    rows = [writing.take_away(each.source, each.stamp) for each in rest]
    for each, row in zip(rest, rows, strict=True):
        if row is None or not writing.put_down(row, each.path, each.stamp):
            writing.account.again.append(each.path)


def _by_file(writing: Writing, moves: Sequence[Moved]) -> Iterator[Moved]:
    """Renames folders; the moves that are none of a folder."""
    groups: dict[tuple[bytes, bytes], dict[bytes, Moved]] = {}
    for each in moves:
        (folder, name), (target, new) = os.path.split(each.source), os.path.split(each.path)
        if name == new:
            groups.setdefault((target, folder), {})[name] = each
        else:
            yield each
    for (target, folder), files in sorted(groups.items()):  # a folder before what is in it
        if not _rename(writing, folder, target, files):
            yield from files.values()


def _rename(writing: Writing, folder: bytes, target: bytes, files: dict[bytes, Moved]) -> bool:
    """Renames a folder most of whose files go to one that is not known; whether it is so."""
    connection, id = writing.connection, writing.folders.known(folder)
    root = writing.folders.root_over(target)
    known = connection.execute(f"SELECT 1 FROM folders WHERE {UNDER}", under(target)).get
    if id is None or root is None or known:
        return False
    rows: dict[bytes, Any] = {name: row for name, *row in connection.execute(ROWS, (id,))}
    staying = rows.keys() - files.keys()
    same = all(name in rows and _is_same(rows[name], each.stamp) for name, each in files.items())
    if not same or len(staying) >= len(files):
        return False
    connection.execute("UPDATE folders SET path = ?, root = ? WHERE id = ?", (target, root, id))
    writing.folders.forget_ids()
    names.derive(connection, [id])
    if staying:
        old = writing.folders.made(folder)
        _note(writing, id, rows.keys())
        _note(writing, old, staying)
        writing.account.note_files(rows[name][0] for name in staying)
        connection.executemany(
            "UPDATE files SET folder = ? WHERE id = ?", [(old, rows[name][0]) for name in staying]
        )
    devices = ((columns(each.stamp)[4], rows[name]) for name, each in files.items())
    connection.executemany(
        DEVICE, [(device, row[0]) for device, row in devices if device != row[5]]
    )
    return True


def _note(writing: Writing, folder: int | None, files: Iterable[bytes]) -> None:
    """Pictures and their sidecars may have been parted."""
    for name in files:
        if folder is not None:
            writing.account.note_name(folder, name)


def _is_same(row: Any, stamp: Stamp) -> bool:
    """Whether the row is still that of the file that has moved; another may have taken its place."""
    return tuple(row[1:5]) == columns(stamp)[:4]
