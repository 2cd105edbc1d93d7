"""A transaction that changes files: the rows of each, where they come and go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgqd.pictures.formats import is_sidecar_name
from imgqd.store.commits.account import Account
from imgqd.store.commits.arrivals import Departure
from imgqd.store.commits.folder_rows import FolderRows
from imgqd.store.folders import UNDER, under
from imgqd.store.lookup import sidecars
from imgqd.store.part import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import apsw

    from imgqd.records import Stamp
    from imgqd.store.records import Committed

IN_ROOT = "SELECT id FROM folders WHERE root = :root"
IN_FOLDER = f"SELECT id FROM folders WHERE {UNDER}"


class Writing:
    """model: the one whose embeddings make a picture findable; now: seconds since the epoch. folders:
    their rows; account: what has been touched, which `finish` settles."""

    def __init__(self, connection: apsw.Connection, model: int | None, now: float) -> None:
        self.connection = connection
        self.model = model
        self.now = now
        self.folders = FolderRows(connection)
        self.account = Account(connection, now)

    def _find(self, path: bytes) -> tuple[Any, ...] | None:
        """The row of a file: its id, picture, mtime_ns, inode, device and the number of its arrival."""
        folder, name = os.path.split(path)
        row: tuple[Any, ...] | None = self.connection.execute(
            "SELECT id, picture, mtime_ns, inode, device, arrived FROM files WHERE folder = ? AND name = ?",
            (self.folders.known(folder), name),
        ).get
        return row

    def place(self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool) -> int | None:
        """Brings the row of a file to this; None where no root is over it. A failure stays."""
        row = self._find(path)
        if row is None:
            return self._insert(path, stamp, picture, trusted)
        id, before, mtime_ns, inode, device, arrived = row
        self.account.note_pictures(before, picture)
        self._note(id, path)
        if inode != fit(stamp.inode):
            self.account.note_gone(inode, device)
        if picture != before:
            if before is not None:
                self.account.arrivals.depart([Departure(before, mtime_ns, inode, device, arrived)])
            arrived = self._arrival(picture, stamp)
        self.connection.execute(
            "UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, device = ?,"
            " picture = ?, trusted = ?, arrived = ? WHERE id = ?",
            (*columns(stamp), picture, trusted, arrived, id),
        )
        return int(id)

    def _arrival(self, picture: int | None, stamp: Stamp) -> int | None:
        return None if picture is None else self.account.arrivals.number(picture, stamp)

    def _insert(self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool) -> int | None:
        folder, name = self.folders.made(os.path.dirname(path)), os.path.basename(path)
        if folder is None:
            return None
        self.forget_folder(path)  # what was a folder is a file now
        self.account.note_pictures(picture)
        self.connection.execute(
            "INSERT INTO files(folder, name, size, mtime_ns, ctime_ns, inode, device,"
            " picture, trusted, arrived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (folder, name, *columns(stamp), picture, trusted, self._arrival(picture, stamp)),
        )
        file = self.connection.last_insert_rowid()
        self._note(file, path)
        return file

    def carry(self, source: bytes, path: bytes, stamp: Stamp) -> bool:
        """Gives the row of a file that is known with this stamp another path, where that is free; whether
        it was so. Half the work of `take_away` and `put_down`."""
        before, old = self.folders.known(os.path.dirname(source)), os.path.basename(source)
        folder, name = self.folders.made(os.path.dirname(path)), os.path.basename(path)
        if before is None or folder is None:
            return False
        self.forget_folder(path)
        size, mtime_ns, ctime_ns, inode, device = columns(stamp)
        id = self.connection.execute(
            "UPDATE OR IGNORE files SET folder = ?, name = ?, device = ? WHERE folder = ? AND name = ?"
            " AND (size, mtime_ns, ctime_ns, inode) = (?, ?, ?, ?) RETURNING id",
            (folder, name, device, before, old, size, mtime_ns, ctime_ns, inode),
        ).get
        # the one that is empty is forgotten
        self.account.note_left(before, folder)
        if id is not None:
            self.account.note_files([id])
            self.account.note_name(before, old)
            self.account.note_name(folder, name)
        return id is not None

    def take_away(self, path: bytes, stamp: Stamp) -> int | None:
        """Takes the name from a file's row, so that another can have it; the row's id, if it is
        known with this stamp: another file may have been recorded at its path since."""
        folder, name = os.path.split(path)
        row = self.connection.execute(
            # no file's name has a NUL in it
            "UPDATE files SET name = CAST(char(0) || id AS BLOB) WHERE folder = ? AND name = ?"
            " AND (size, mtime_ns, ctime_ns, inode) = (?, ?, ?, ?) RETURNING id, folder",
            (self.folders.known(folder), name, *columns(stamp)[:4]),
        ).get
        if row is None:
            return None
        self.account.note_left(row[1])
        self.account.note_name(row[1], name)
        return int(row[0])

    def put_down(self, id: int, path: bytes, stamp: Stamp) -> bool:
        """Gives the row of a file that was taken away another path, in place of whatever is known
        there; it is forgotten where no root is over it. False where the row is no more."""
        folder, name = self.folders.made(os.path.dirname(path)), os.path.basename(path)
        if folder is None:
            self._delete("id = :id", {"id": id})
            return True
        if not self.forget_file(path):
            self.forget_folder(path)
        self.connection.execute(
            "UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, device = ?,"
            " folder = ?, name = ? WHERE id = ?",
            (*columns(stamp), folder, name, id),
        )
        found = self.connection.changes() > 0
        self.account.note_files([id])
        self.account.note_name(folder, name)
        return found

    def forget_file(self, path: bytes) -> bool:
        """Forgets a file; whether it was known."""
        folder, name = os.path.split(path)
        folder_id = self.folders.known(folder)
        return self._delete(
            "folder = :folder AND name = :name", {"folder": folder_id, "name": name}
        )

    def forget_folder(self, path: bytes) -> None:
        """Forgets every file under the folder."""
        bounds = under(path)
        if self.connection.execute(f"{IN_FOLDER} LIMIT 1", bounds).get is not None:
            self._forget_folders(IN_FOLDER, bounds)

    def forget_root(self, id: int) -> None:
        """Forgets every file that belongs to the root; none has gone anywhere."""
        self._forget_folders(IN_ROOT, {"root": id}, departs=False)

    def _forget_folders(
        self, folders: str, bindings: Mapping[str, bytes | int], *, departs: bool = True
    ) -> None:
        self._delete(f"folder IN ({folders})", bindings, departs=departs)
        self.connection.execute(f"DELETE FROM folders WHERE id IN ({folders})", bindings)
        self.folders.forget_ids()

    def _delete(
        self, which: str, bindings: Mapping[str, bytes | int | None], *, departs: bool = True
    ) -> bool:
        """Deletes those rows of files; whether there were any."""
        rows: list[Any] = self.connection.execute(
            f"DELETE FROM files WHERE {which}"
            " RETURNING picture, folder, name, mtime_ns, inode, device, arrived",
            bindings,
        ).fetchall()
        if departs:
            self.account.arrivals.depart(
                Departure(row[0], *row[3:]) for row in rows if row[0] is not None
            )
        for picture, folder, name, _, inode, device, _ in rows:
            self.account.note_pictures(picture)
            self.account.note_left(folder)
            self.account.note_name(folder, name)
            self.account.note_gone(inode, device)
        return bool(rows)

    def _note(self, file: int, path: bytes) -> None:
        """A file is new, or not what it was."""
        self.account.note_files([file])
        folder, name = os.path.split(path)
        if is_sidecar_name(name) and (id := self.folders.known(folder)) is not None:
            sidecars.put(self.connection, file, None)
            self.account.note_name(id, name)

    def finish(self) -> Committed:
        """Says which pictures can be found that could not, and the reverse."""
        return self.account.settle(self.model)


def columns(stamp: Stamp) -> tuple[int | str, ...]:
    """size, mtime_ns, ctime_ns, inode, device."""
    numbers = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, stamp.device)
    return tuple(fit(number) for number in numbers)
