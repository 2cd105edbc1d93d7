"""How many files there are of each sort, in all and below each root."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from imgqd.store.part import Part
from imgqd.store.records import Counts, Tally

if TYPE_CHECKING:
    import apsw

    from imgqd.store.database.database import Database

FILES = """
SELECT root, count(*), count(picture) FROM folders CROSS JOIN files ON folder = folders.id
GROUP BY root
"""
FAILED = """
SELECT root, count(*) FROM failures CROSS JOIN files ON files.id = file
CROSS JOIN folders ON folders.id = folder GROUP BY root
"""
PENDING = """
SELECT root, count(*) FROM pictures LEFT JOIN embedding_sums sums
    ON sums.picture = pictures.id AND sums.model IS :model AND NOT stale
CROSS JOIN files ON files.picture = pictures.id CROSS JOIN folders ON folders.id = folder
WHERE sums.picture IS NULL GROUP BY root
"""
PICTURES = """
SELECT (SELECT count(*) FROM pictures)
    - (SELECT count(*) FROM pictures WHERE orphaned_at IS NOT NULL)
"""
ANY = "SELECT EXISTS (SELECT 1 FROM pictures WHERE orphaned_at IS NULL)"
# mostly so, and five times as fast as finding no pending one
ALL_EMBEDDED = """
SELECT (SELECT count(*) FROM pictures)
    = (SELECT count(*) FROM embedding_sums WHERE model IS :model AND NOT stale)
"""


class Counting(Part):
    def __init__(self, database: Database, decoder: str) -> None:
        super().__init__(database, decoder)
        self._counting = threading.Lock()
        self._counted: tuple[tuple[int, int | None], dict[bytes, Tally], int] | None = None

    def counts(self) -> Counts:
        """Every known file, in one of five sorts; and the pictures that files show. Costs 0.1 ms for
        a thousand files after a commit, and nothing until the next."""
        tallies, pictures = self._count()
        sums = {
            name: sum(getattr(tally, name) for tally in tallies.values())
            for name in Tally.__slots__
        }
        return Counts(**sums, pictures=pictures)

    def has_pictures(self) -> bool:
        """Whether some file shows a picture; to count them takes longer."""
        with self._database.read() as connection:
            return bool(connection.execute(ANY).get)

    def root_counts(self) -> dict[bytes, Tally]:
        """The same for each root, by its path: what belongs to it and to no deeper one."""
        return dict(self._count()[0])

    def _count(self) -> tuple[dict[bytes, Tally], int]:
        counted = self._counted
        if counted is None or counted[0] != self._moment():
            # Who asks meanwhile waits for the first, and holds no connection then: six who each count
            # take six times as long.
            with self._counting, self._database.read() as connection:
                counted, moment = self._counted, self._moment()
                if counted is None or counted[0] != moment:
                    tallies = _tallies(connection, self._model_id)
                    pictures = int(connection.execute(PICTURES).get)
                    counted = self._counted = (moment, tallies, pictures)
        return counted[1:]

    def _moment(self) -> tuple[int, int | None]:
        return self._database.commits, self._model_id


def _tallies(connection: apsw.Connection, model: int | None) -> dict[bytes, Tally]:
    files = {root: (known, shown) for root, known, shown in connection.execute(FILES)}
    failed = _by_root(connection.execute(FAILED))
    pending = _pending(connection, model)
    tallies = {}
    for id, path, offline in connection.execute("SELECT id, path, state = 'offline' FROM roots"):
        known, shown = files.get(id, (0, 0))
        waiting = 0 if offline else pending.get(id, 0)
        tallies[path] = Tally(
            files=0 if offline else shown - waiting,
            pending=waiting,
            failed=failed.get(id, 0),
            offline=shown if offline else 0,
            ignored=known - shown - failed.get(id, 0),
        )
    return tallies


def _pending(connection: apsw.Connection, model: int | None) -> dict[int, int]:
    if connection.execute(ALL_EMBEDDED, {"model": model}).get:
        return {}
    return _by_root(connection.execute(PENDING, {"model": model}))


def _by_root(rows: Any) -> dict[int, int]:
    return dict(rows)
