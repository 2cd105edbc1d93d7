"""What is told of files to people: hits, listings a page at a time, filters."""

from __future__ import annotations

import json
import os
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from imgqd.records import Stamp
from imgqd.store import notes
from imgqd.store.files import ROW, row
from imgqd.store.folders import UNDER, join, under
from imgqd.store.lookup import sidecars
from imgqd.store.lookup.lookup import distinct, numbers
from imgqd.store.pictures import COLUMNS, ledger_entry, picture
from imgqd.store.records import Arrived, Exported, FailedFile, FileInfo, FileLine, Shown
from imgqd.store.vectors.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw
    from numpy.typing import NDArray

    from imgqd.store.records import Model

MOST_SHOWING = 7  # answers of `showing` that are kept until the next commit

# CROSS JOIN keeps SQLite to the order that is written, whatever its statistics say
SHOWN = f"""
SELECT files.id, folders.path, name, roots.state = 'offline',
    size, mtime_ns, ctime_ns, files.inode, files.device, {COLUMNS},
    details.sidecar, {sidecars.QUALIFIED} FROM
"""
OF_FILES = """
CROSS JOIN pictures ON pictures.id = files.picture
CROSS JOIN folders ON folders.id = files.folder CROSS JOIN roots ON roots.id = folders.root
LEFT JOIN details ON details.file = files.id LEFT JOIN sidecars ON sidecars.file = details.sidecar
"""
PLACE = 9 + len(COLUMNS.split(","))  # of the sidecar among the columns
ARRIVED = f"""
{SHOWN} files {OF_FILES} WHERE arrived > ? AND arrived <= ? ORDER BY arrived LIMIT ?
""".replace("SELECT", "SELECT arrived,", 1)
FAILED = """
SELECT files.id, folders.path, name, failures.kind, reason, attempts, first_seen, last_seen, decoder
FROM failures CROSS JOIN files ON files.id = failures.file
CROSS JOIN folders ON folders.id = files.folder
"""


class Listings(Embeddings):
    _showing: tuple[int, dict[tuple[bytes | None, bool], NDArray[np.int64]]] = -1, {}

    def files_of(self, pictures: Iterable[int]) -> dict[int, list[Shown]]:
        """The files that show each of those pictures, by path; pictures without any are left
        out."""
        ids = json.dumps(sorted({int(picture) for picture in pictures}))
        with self._database.read() as connection:
            found = connection.execute(
                f"{SHOWN} json_each(?) CROSS JOIN files ON files.picture = value {OF_FILES}"
                " ORDER BY value",
                (ids,),
            )
            rows = [_shown(columns) for columns in found]
        return {
            id: sorted(files, key=lambda shown: shown.path)
            for id, files in groupby(rows, key=lambda shown: shown.picture.id)
        }

    def shown(self, files: Iterable[int]) -> dict[int, Shown]:
        """Those files, as far as they are there and show a picture."""
        ids = json.dumps(sorted({int(file) for file in files}))
        with self._database.read() as connection:
            found = connection.execute(
                f"{SHOWN} json_each(?) CROSS JOIN files ON files.id = value {OF_FILES}", (ids,)
            )
            return {shown.file: shown for shown in map(_shown, found)}

    def showing(self, folder: bytes | None, *, offline: bool = False) -> NDArray[np.int64]:
        """The pictures, ascending, that a file shows which is under that folder, if one is given,
        and on a root that is online, unless offline ones are asked for too. int64, (n,), read-only."""
        # the same is often asked again, and a million rows take their time
        moment, known = self._showing
        if moment != self._database.commits:
            known = {}
        if (folder, offline) not in known:
            moment = self._database.commits
            known = dict(list(known.items())[-MOST_SHOWING:])
            known[folder, offline] = self._shows(folder, offline)
            self._showing = moment, known
        return known[folder, offline]

    def _shows(self, folder: bytes | None, offline: bool) -> NDArray[np.int64]:
        where = "files.picture IS NOT NULL"
        if folder is not None:
            where += f" AND {UNDER}"
        if not offline:
            where += " AND folders.root IN (SELECT id FROM roots WHERE state = 'online')"
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT group_concat(picture) FROM folders"
                f" CROSS JOIN files ON files.folder = folders.id WHERE {where}",
                under(folder or b"/"),
            ).get
        pictures = distinct(numbers(found))
        pictures.flags.writeable = False
        return pictures

    def files(self, after: int = 0, limit: int = 1000) -> list[Shown]:
        """A page of the files that show a picture, from the one after the cursor `after`
        (Shown.file)."""
        with self._database.read() as connection:
            found = connection.execute(
                f"{SHOWN} files {OF_FILES} WHERE files.id > ? ORDER BY files.id LIMIT ?",
                (after, limit),
            )
            return [_shown(columns) for columns in found]

    def lines(self, after: int = 0, limit: int = 1000) -> list[FileLine]:
        """The same page, of each file only what a listing of a million shows."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT files.id, folders.path, name, roots.state = 'offline', size, mtime_ns, hash"
                f" FROM files {OF_FILES} WHERE files.id > ? ORDER BY files.id LIMIT ?",
                (after, limit),
            )
            return [
                FileLine(id, join(folder, name), bool(offline), int(size), int(mtime_ns), hash)
                for id, folder, name, offline, size, mtime_ns, hash in found
            ]

    def errors(self, after: int = 0, limit: int = 1000) -> list[FailedFile]:
        """A page of the ledger, from the one after the cursor `after` (FailedFile.file)."""
        with self._database.read() as connection:
            found = connection.execute(
                f"{FAILED} WHERE failures.file > ? ORDER BY failures.file LIMIT ?", (after, limit)
            )
            return [
                FailedFile(id, join(folder, name), ledger_entry(entry))
                for id, folder, name, *entry in found
            ]

    def last_arrival(self) -> int:
        """The number of the latest arrival, 0 before the first."""
        with self._database.read() as connection:
            return int(connection.execute("SELECT last FROM arrivals").get)

    def arrivals(self, after: int, last: int, limit: int = 1000) -> list[Arrived]:
        """The files that came to show what they show, and what they did not show before, with numbers
        above `after` and up to `last`, in that order. A file that has moved since is told by its new
        path; one that is gone is not."""
        with self._database.read() as connection:
            found = connection.execute(ARRIVED, (after, last, limit))
            return [Arrived(seq, _shown(tuple(columns))) for seq, *columns in found]

    def export(
        self, after: int = 0, limit: int = 1000, model: Model | None = None
    ) -> list[Exported]:
        """A page of the files that have an embedding by that model, or the one in use, with it, from the
        one after the cursor `after` (Exported.shown.file); at most `limit`, and fewer only at the end."""
        exported: list[Exported] = []
        model = model or self.model
        while page := self._with_sums(model, after, limit - len(exported)):
            vectors = self.vectors((shown.picture.id for shown in page), model)
            exported += [
                Exported(shown, vectors[shown.picture.id])
                for shown in page
                if shown.picture.id in vectors
            ]
            after = page[-1].file
        return exported

    def _with_sums(self, model: Model, after: int, limit: int) -> list[Shown]:
        with self._database.read() as connection:
            found = connection.execute(
                f"{SHOWN} files {OF_FILES}"
                " CROSS JOIN embedding_sums sums ON sums.picture = pictures.id AND sums.model = ?"
                " WHERE files.id > ? ORDER BY files.id LIMIT ?",
                (model.id, after, limit),
            )
            return [_shown(columns) for columns in found]

    def info(self, path: bytes) -> FileInfo | None:
        """All that is known of a file; None where nothing is."""
        folder, name = os.path.split(path)
        with self._database.read() as connection:
            columns = connection.execute(
                f"{ROW} WHERE folders.path = :folder AND files.name = :name",
                {"model": self._model_id, "folder": folder, "name": name},
            ).get
            if columns is None:
                return None
            shown = self.files_of([columns[8]]).get(columns[8], []) if columns[8] else []
            own = next((each for each in shown if each.path == path), None)
            sidecar = _path(connection, own.sidecar) if own and own.sidecar else None
        copies = [file.path for file in shown if file.path != path]
        return FileInfo(path, row(columns), own, sidecar, copies)


def _path(connection: apsw.Connection, file: int) -> bytes | None:
    row = connection.execute(
        "SELECT folders.path, name FROM files JOIN folders ON folders.id = folder WHERE files.id = ?",
        (file,),
    ).get
    return join(*row) if row else None


def _shown(columns: tuple[Any, ...]) -> Shown:
    id, folder, name, offline = columns[:4]
    stamp = Stamp(*map(int, columns[4:9]))
    known, sidecar = picture(columns[9:PLACE]), columns[PLACE]
    said = known.metadata.notes
    if sidecar is not None:
        said = sidecars.over(notes.notes(columns[PLACE + 1 :]), said)
    return Shown(id, join(folder, name), bool(offline), stamp, known, said, sidecar)
