"""The words of folders' names: derived of their paths, from the outermost root's own name on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from imgqd.store.folders import is_under
from imgqd.store.lookup.words import indexed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

ALL = "SELECT id, path FROM folders"
SOME = f"{ALL} WHERE id IN (SELECT value FROM json_each(?))"
KNOWN = "SELECT names FROM folder_texts WHERE folder = ?"


def derive(connection: apsw.Connection, folders: Sequence[int] | None = None) -> None:
    """Brings the words of these folders up to date, or of all."""
    for folder, names in list(_differing(connection, folders)):
        connection.execute("DELETE FROM folder_texts WHERE folder = ?", (folder,))
        connection.execute("INSERT INTO folder_texts(folder, names) VALUES (?, ?)", (folder, names))
    if folders is None:
        connection.execute("DELETE FROM folder_texts WHERE folder NOT IN (SELECT id FROM folders)")


def wrong(connection: apsw.Connection) -> int:
    """How many folders have other words than their names."""
    strays = "SELECT count(*) FROM folder_texts WHERE folder NOT IN (SELECT id FROM folders)"
    return sum(1 for _ in _differing(connection, None)) + int(connection.execute(strays).get)


def _differing(
    connection: apsw.Connection, folders: Sequence[int] | None
) -> Iterator[tuple[int, str]]:
    roots = [path for (path,) in connection.execute("SELECT path FROM roots ORDER BY length(path)")]
    asked = (ALL, ()) if folders is None else (SOME, (json.dumps(folders),))
    rows: list[Any] = connection.execute(*asked).fetchall()
    for folder, path in rows:
        names = _names(path, roots)
        if connection.execute(KNOWN, (folder,)).get != names:
            yield folder, names


def _names(path: bytes, roots: Sequence[bytes]) -> str:
    root = next((root for root in roots if is_under(path, root)), b"/")
    return indexed(path[len(os.path.dirname(root)) :].decode(errors="replace"))
