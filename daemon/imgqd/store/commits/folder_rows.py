"""The rows of folders amid a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgqd.store.folders import is_under
from imgqd.store.lookup import names

if TYPE_CHECKING:
    import apsw


class FolderRows:
    """Their ids are remembered until `forget_ids`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._ids: dict[bytes, int] = {}
        self._roots: list[Any] = connection.execute(
            "SELECT path, id FROM roots ORDER BY length(path) DESC"
        ).fetchall()

    def known(self, path: bytes) -> int | None:
        """The folder's id, None where it has no row."""
        if path not in self._ids:
            id = self._connection.execute("SELECT id FROM folders WHERE path = ?", (path,)).get
            if id is None:
                return None
            self._ids[path] = id
        return self._ids[path]

    def made(self, path: bytes) -> int | None:
        """The folder's id, made where it is new; None where no root is over it."""
        id = self.known(path)
        root = self.root_over(path) if id is None else None
        if root is None:
            return id
        self._connection.execute("INSERT INTO folders(path, root) VALUES (?, ?)", (path, root))
        self._ids[path] = self._connection.last_insert_rowid()
        names.derive(self._connection, [self._ids[path]])
        return self._ids[path]

    def root_over(self, path: bytes) -> int | None:
        """The deepest root over a path."""
        return next((id for root, id in self._roots if is_under(path, root)), None)

    def forget_ids(self) -> None:
        """Folders were renamed, or are gone."""
        self._ids.clear()
