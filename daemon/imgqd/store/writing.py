"""A transaction that changes files: it keeps account of the pictures and folders it touches, and
settles at its end which pictures can be found from then on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from imgq.errors import StoreDamaged
from imgqd.pictures.formats import is_sidecar_name
from imgqd.store import details, names, sidecars
from imgqd.store.folders import UNDER, is_under, join, under
from imgqd.store.part import fit
from imgqd.store.records import Added, Committed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import apsw
    import numpy as np
    from numpy.typing import NDArray

    from imgqd.records import Stamp

# the paths that other links of deleted files have
LINKS = """
SELECT folders.path, files.name FROM json_each(:gone) gone
CROSS JOIN files ON files.inode = gone.value ->> 0 AND files.device = gone.value ->> 1
JOIN folders ON folders.id = files.folder
"""
MOST_GONE = 5000
IN_ROOT = "SELECT id FROM folders WHERE root = :root"
IN_FOLDER = f"SELECT id FROM folders WHERE {UNDER}"


class Writing:
    """model: the one whose embeddings make a picture findable; now: seconds since the epoch."""

    def __init__(self, connection: apsw.Connection, model: int | None, now: float) -> None:
        self.connection = connection
        self.model = model
        self.now = now
        self.embedded: dict[int, NDArray[np.float32]] = {}
        self.again: list[bytes] = []
        self._arrived: int | None = None
        self._touched: set[int] = set()
        self._files: set[int] = set()
        self._named: set[tuple[int, bytes]] = set()
        self._left: set[int] = set()
        self._gone: list[tuple[int | str, int | str]] = []
        self._folders: dict[bytes, int] = {}
        self._roots: list[Any] = connection.execute(
            "SELECT path, id FROM roots ORDER BY length(path) DESC"
        ).fetchall()

    def _find(self, path: bytes) -> tuple[Any, ...] | None:
        """The row of a file: its id, picture, inode and device."""
        folder, name = os.path.split(path)
        row: tuple[Any, ...] | None = self.connection.execute(
            "SELECT id, picture, inode, device FROM files WHERE folder = ? AND name = ?",
            (self.known_folder(folder), name),
        ).get
        return row

    def folder(self, path: bytes) -> int | None:
        """The folder's id, made where it is new; None where no root is over it."""
        id = self.known_folder(path)
        root = self.root_over(path) if id is None else None
        if root is None:
            return id
        self.connection.execute("INSERT INTO folders(path, root) VALUES (?, ?)", (path, root))
        self._folders[path] = self.connection.last_insert_rowid()
        names.derive(self.connection, [self._folders[path]])
        return self._folders[path]

    def root_over(self, path: bytes) -> int | None:
        """The deepest root over a path."""
        return next((id for root, id in self._roots if is_under(path, root)), None)

    def forget_folder_ids(self) -> None:
        """Folders were renamed."""
        self._folders.clear()

    def known_folder(self, path: bytes) -> int | None:
        if path not in self._folders:
            id = self.connection.execute("SELECT id FROM folders WHERE path = ?", (path,)).get
            if id is None:
                return None
            self._folders[path] = id
        return self._folders[path]

    def place(self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool) -> int | None:
        """Brings the row of a file to this; None where no root is over it. A failure stays."""
        row = self._find(path)
        if row is None:
            return self._insert(path, stamp, picture, trusted)
        id, before, inode, device = row
        self._touch(before, picture)
        self._note(id, path)
        if inode != fit(stamp.inode):
            self._gone.append((inode, device))
        self.connection.execute(
            "UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, device = ?,"
            " picture = ?, trusted = ? WHERE id = ?",
            (*columns(stamp), picture, trusted, id),
        )
        if picture is not None and picture != before:
            self.connection.execute(
                "UPDATE files SET arrived = ? WHERE id = ?", (self._arrival(), id)
            )
        return int(id)

    def _insert(self, path: bytes, stamp: Stamp, picture: int | None, trusted: bool) -> int | None:
        folder, name = self.folder(os.path.dirname(path)), os.path.basename(path)
        if folder is None:
            return None
        self.forget_folder(path)  # what was a folder is a file now
        self._touch(picture)
        self.connection.execute(
            "INSERT INTO files(folder, name, size, mtime_ns, ctime_ns, inode, device,"
            " picture, trusted, arrived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (folder, name, *columns(stamp), picture, trusted, picture and self._arrival()),
        )
        file = self.connection.last_insert_rowid()
        self._note(file, path)
        return file

    def carry(self, source: bytes, path: bytes, stamp: Stamp) -> bool:
        """Gives the row of a file that is known with this stamp another path, where that is free; whether
        it was so. Half the work of `take_away` and `put_down`."""
        before, old = self.known_folder(os.path.dirname(source)), os.path.basename(source)
        folder, name = self.folder(os.path.dirname(path)), os.path.basename(path)
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
        self._left |= {before, folder}
        if id is not None:
            self._files.add(id)
            self.note_name(before, old)
            self.note_name(folder, name)
        return id is not None

    def _arrival(self) -> int:
        """The number of a picture that arrives; none is given twice."""
        if self._arrived is None:
            self._arrived = int(self.connection.execute("SELECT last FROM arrivals").get)
        self._arrived += 1
        return self._arrived

    def take_away(self, path: bytes, stamp: Stamp) -> int | None:
        """Takes the name from a file's row, so that another can have it; the row's id, if it is
        known with this stamp: another file may have been recorded at its path since."""
        folder, name = os.path.split(path)
        row = self.connection.execute(
            # no file's name has a NUL in it
            "UPDATE files SET name = CAST(char(0) || id AS BLOB) WHERE folder = ? AND name = ?"
            " AND (size, mtime_ns, ctime_ns, inode) = (?, ?, ?, ?) RETURNING id, folder",
            (self.known_folder(folder), name, *columns(stamp)[:4]),
        ).get
        if row is None:
            return None
        self._left.add(row[1])
        self.note_name(row[1], name)
        return int(row[0])

    def put_down(self, id: int, path: bytes, stamp: Stamp) -> bool:
        """Gives the row of a file that was taken away another path, in place of whatever is known
        there; it is forgotten where no root is over it. False where the row is no more."""
        folder, name = self.folder(os.path.dirname(path)), os.path.basename(path)
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
        self._files.add(id)
        self.note_name(folder, name)
        return found

    def forget_file(self, path: bytes) -> bool:
        """Forgets a file; whether it was known."""
        folder, name = os.path.split(path)
        folder_id = self.known_folder(folder)
        return self._delete(
            "folder = :folder AND name = :name", {"folder": folder_id, "name": name}
        )

    def forget_folder(self, path: bytes) -> None:
        """Forgets every file under the folder."""
        bounds = under(path)
        if self.connection.execute(f"{IN_FOLDER} LIMIT 1", bounds).get is not None:
            self._forget_folders(IN_FOLDER, bounds)

    def forget_root(self, id: int) -> None:
        """Forgets every file that belongs to the root."""
        self._forget_folders(IN_ROOT, {"root": id})

    def _forget_folders(self, folders: str, bindings: Mapping[str, bytes | int]) -> None:
        self._delete(f"folder IN ({folders})", bindings)
        self.connection.execute(f"DELETE FROM folders WHERE id IN ({folders})", bindings)
        self._folders.clear()

    def _delete(self, which: str, bindings: Mapping[str, bytes | int | None]) -> bool:
        """Deletes those rows of files; whether there were any."""
        rows: list[Any] = self.connection.execute(
            f"DELETE FROM files WHERE {which} RETURNING picture, folder, name, inode, device",
            bindings,
        ).fetchall()
        for picture, folder, name, inode, device in rows:
            self._touch(picture)
            self._left.add(folder)
            self.note_name(folder, name)
            self._gone.append((inode, device))
        return bool(rows)

    def _touch(self, *pictures: int | None) -> None:
        self._touched.update(picture for picture in pictures if picture is not None)

    def _note(self, file: int, path: bytes) -> None:
        """A file is new, or not what it was."""
        self._files.add(file)
        folder, name = os.path.split(path)
        if is_sidecar_name(name) and (id := self.known_folder(folder)) is not None:
            sidecars.put(self.connection, file, None)
            self.note_name(id, name)

    def note_name(self, folder: int, name: bytes) -> None:
        """A file has come by this name, has changed, or has left it: it may be a sidecar."""
        if is_sidecar_name(name):
            self._named.add((folder, name))

    def note_files(self, files: Iterable[int]) -> None:
        """Something of them has changed that filters and words may ask for."""
        self._files.update(files)

    def finish(self) -> Committed:
        """Forgets empty folders, brings up to date what is derived of files, and says which pictures
        can be found that could not, and the reverse."""
        self.connection.executemany(
            "DELETE FROM folders"
            " WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE folder = ?1)",
            [(folder,) for folder in self._left],
        )
        for named in self._named:
            self._files.update(sidecars.pictures_of(self.connection, *named))
        details.derive(self.connection, sorted(self._files))
        if self._arrived is not None:
            self.connection.execute("UPDATE arrivals SET last = ?", (self._arrived,))
        self.again += self._other_links()
        committed = Committed(again=self.again, arrived=self._arrived)
        for picture in sorted(self._touched | self.embedded.keys()):
            self._settle(picture, committed)
        return committed

    def _other_links(self) -> Iterator[bytes]:
        """Of files that are gone by one of their names, or replaced: whoever wrote through that one
        before told nobody who watches the others."""
        for first in range(0, len(self._gone), MOST_GONE):
            gone = json.dumps(self._gone[first : first + MOST_GONE])
            for folder, name in self.connection.execute(LINKS, {"gone": gone}):
                yield join(folder, name)

    def _settle(self, picture: int, committed: Committed) -> None:
        row = self.connection.execute(
            "SELECT orphaned_at IS NOT NULL, EXISTS (SELECT 1 FROM files WHERE picture = ?1),"
            " EXISTS (SELECT 1 FROM embedding_sums WHERE picture = ?1 AND model = ?2)"
            " FROM pictures WHERE id = ?1",
            (picture, self.model),
        ).get
        if row is None:
            raise StoreDamaged(
                f"the index is damaged: a file shows picture {picture}, which is none"
            )
        orphan, shown, embedded = row
        if shown and picture in self.embedded:
            committed.added.append(Added(picture, self.embedded[picture]))
        elif orphan and shown and embedded:
            committed.shown.append(picture)
        elif not orphan and not shown:
            committed.hidden.append(picture)
        if bool(orphan) == bool(shown):
            self.connection.execute(
                "UPDATE pictures SET orphaned_at = ? WHERE id = ?",
                (None if shown else self.now, picture),
            )


def columns(stamp: Stamp) -> tuple[int | str, ...]:
    """size, mtime_ns, ctime_ns, inode, device."""
    numbers = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, stamp.device)
    return tuple(fit(number) for number in numbers)
