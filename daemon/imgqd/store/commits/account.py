"""What a transaction that changes files has touched, and what follows from that at its end: which pictures
can be found from then on, and all that is derived of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imgq.errors import StoreDamaged
from imgqd.pictures.formats import is_sidecar_name
from imgqd.store.commits.arrivals import Arrivals
from imgqd.store.folders import join
from imgqd.store.lookup import details, sidecars
from imgqd.store.records import Added, Committed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import apsw
    import numpy as np
    from numpy.typing import NDArray

# the paths that other links of deleted files have
LINKS = """
SELECT folders.path, files.name FROM json_each(:gone) gone
CROSS JOIN files ON files.inode = gone.value ->> 0 AND files.device = gone.value ->> 1
JOIN folders ON folders.id = files.folder
"""
MOST_GONE = 5000


class Account:
    """embedded: the vectors that pictures were given; again: paths that are to be looked at once more;
    arrivals: who comes and goes. now: seconds since the epoch."""

    def __init__(self, connection: apsw.Connection, now: float) -> None:
        self.arrivals = Arrivals(connection, now)
        self.embedded: dict[int, NDArray[np.float32]] = {}
        self.again: list[bytes] = []
        self._connection = connection
        self._now = now
        self._pictures: set[int] = set()
        self._files: set[int] = set()
        self._named: set[tuple[int, bytes]] = set()
        self._left: set[int] = set()
        self._gone: list[tuple[int | str, int | str]] = []

    def note_pictures(self, *pictures: int | None) -> None:
        """A file shows them, or does so no more."""
        self._pictures.update(picture for picture in pictures if picture is not None)

    def note_files(self, files: Iterable[int]) -> None:
        """Something of them has changed that filters and words may ask for."""
        self._files.update(files)

    def note_name(self, folder: int, name: bytes) -> None:
        """A file has come by this name, has changed, or has left it: it may be a sidecar."""
        if is_sidecar_name(name):
            self._named.add((folder, name))

    def note_left(self, *folders: int) -> None:
        """Files have left them, which may be empty now."""
        self._left.update(folders)

    def note_gone(self, inode: int | str, device: int | str) -> None:
        """A file is gone by one of its names, or another is in its place."""
        self._gone.append((inode, device))

    def settle(self, model: int | None) -> Committed:
        """Forgets empty folders, brings up to date what is derived of files, and says which pictures
        can be found that could not, and the reverse. model: the one whose embeddings make a picture
        findable."""
        self._connection.executemany(
            "DELETE FROM folders"
            " WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE folder = ?1)",
            [(folder,) for folder in self._left],
        )
        for named in self._named:
            self._files.update(sidecars.pictures_of(self._connection, *named))
        details.derive(self._connection, sorted(self._files))
        self.arrivals.settle()
        self.again += self._other_links()
        committed = Committed(again=self.again, arrived=self.arrivals.last)
        for picture in sorted(self._pictures | self.embedded.keys()):
            self._settle(picture, committed, model)
        return committed

    def _other_links(self) -> Iterator[bytes]:
        """Of files that are gone by one of their names, or replaced: whoever wrote through that one
        before told nobody who watches the others."""
        for first in range(0, len(self._gone), MOST_GONE):
            gone = json.dumps(self._gone[first : first + MOST_GONE])
            for folder, name in self._connection.execute(LINKS, {"gone": gone}):
                yield join(folder, name)

    def _settle(self, picture: int, committed: Committed, model: int | None) -> None:
        row = self._connection.execute(
            "SELECT orphaned_at IS NOT NULL, EXISTS (SELECT 1 FROM files WHERE picture = ?1),"
            " EXISTS (SELECT 1 FROM embedding_sums WHERE picture = ?1 AND model = ?2)"
            " FROM pictures WHERE id = ?1",
            (picture, model),
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
            self._connection.execute(
                "UPDATE pictures SET orphaned_at = ? WHERE id = ?",
                (None if shown else self._now, picture),
            )
