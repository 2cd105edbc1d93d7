"""Which files pass a filter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgqd.store.folders import UNDER, under
from imgqd.store.listings import Listings
from imgqd.store.lookup import lookup
from imgqd.store.lookup.words import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw
    from numpy.typing import NDArray

    from imgq import wire

    Ids = NDArray[np.int64]

# that words were found in: so many are looked up one by one
FEW_FILES = 20_000
# the part of all folders up to which their files are looked up folder by folder
FEW_FOLDERS = 1 / 8
EARTH_KM = 6371.0088  # mean radius, IUGG
KM_A_DEGREE = 111.1  # of latitude, a little less than there are
# the haversine formula (R. W. Sinnott, Virtues of the Haversine, 1984)
NEAR = f"""
(latitude BETWEEN :south{{n}} AND :north{{n}} AND {2 * EARTH_KM} * asin(sqrt(min(1,
    pow(sin(radians(latitude - :lat{{n}}) / 2), 2)
    + cos(radians(:lat{{n}})) * cos(radians(latitude))
    * pow(sin(radians(longitude - :lon{{n}}) / 2), 2)))) <= :km{{n}})
"""
TIME = """
(zoned = 1 AND time >= :utc_after AND time < :utc_before
    OR zoned = 0 AND time >= :clock_after AND time < :clock_before)
"""
# from one name to the next, by the index
NAMES = """
WITH RECURSIVE names(name) AS (
    SELECT min({column}) FROM details WHERE {column} IS NOT NULL
    UNION ALL SELECT (SELECT min({column}) FROM details WHERE {column} > name) FROM names
    WHERE name IS NOT NULL
) SELECT name FROM names
"""
NUMBERS = {
    "pixels": "width * height",
    "width": "width",
    "height": "height",
    "bytes": "bytes",
    "rating": "rating",
}
ORIENTATIONS = {"landscape": ">", "portrait": "<", "square": "="}
AMONG = "file IN (SELECT value FROM json_each(:among))"
OFFLINE = "SELECT id FROM folders WHERE root IN (SELECT id FROM roots WHERE state = 'offline')"


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """files: those that pass, int64 (n,), ascending; pictures: what they show, each once, ascending.
    scores: float64 (n,), of each file by bm25, the higher the better; None where they were not asked."""

    files: Ids
    pictures: Ids
    scores: NDArray[np.float64] | None = None

    def holds(self, file: int) -> bool:
        place = int(np.searchsorted(self.files, file))
        return place < len(self.files) and bool(self.files[place] == file)


class Filters(Listings):
    def passed(self, filter: wire.Filter, *, offline: bool = False, ranked: bool = False) -> Passed:
        """The files that pass, of those on roots that are online unless offline ones are asked for too;
        ranked: with scores. Raises UsageError where the filter asks for words and has none."""
        with self._database.read() as connection:
            return _passed(connection, filter, offline, ranked)

    def passing(
        self, filter: wire.Filter, files: Iterable[int], *, offline: bool = False
    ) -> frozenset[int]:
        """Of these files those that pass, as `passed` has it; that costs what they do, not what all do."""
        with self._database.read() as connection:
            return _passing(connection, filter, files, offline)

    def names(self, column: str) -> list[str]:
        """Of all cameras or lenses, "camera" or "lens"."""
        with self._database.read() as connection:
            return _names(connection, column)


def _passed(
    connection: apsw.Connection, filter: wire.Filter, offline: bool, ranked: bool
) -> Passed:
    bindings: dict[str, Any] = {}
    clauses = list(_clauses(connection, filter, bindings))
    if not offline:
        clauses += _online(connection)
    if filter.words is None:
        files, pictures = _rows(connection, clauses, bindings)
        return Passed(files, lookup.distinct(pictures))
    spoken, scores = lookup.scored(connection, filter.words, ranked)
    if len(spoken) <= FEW_FILES:
        bindings["files"] = json.dumps(spoken.tolist())
        clauses.append("file IN (SELECT value FROM json_each(:files))")
    files, pictures = _rows(connection, clauses, bindings)
    files, here, there = np.intersect1d(spoken, files, assume_unique=True, return_indices=True)
    return Passed(files, lookup.distinct(pictures[there]), scores[here] if ranked else None)


def _passing(
    connection: apsw.Connection, filter: wire.Filter, files: Iterable[int], offline: bool
) -> frozenset[int]:
    bindings: dict[str, Any] = {"among": json.dumps([*files])}
    clauses = [AMONG, *_clauses(connection, filter, bindings)]
    if not offline:
        clauses += _online(connection)
    # the files are few: no index finds them sooner than their own numbers
    found = connection.execute(
        f"SELECT file FROM details NOT INDEXED WHERE {' AND '.join(clauses)}", bindings
    )
    passing = frozenset(file for (file,) in found)
    if filter.words is None:
        return passing
    return passing & frozenset(lookup.scored(connection, filter.words, False)[0].tolist())


def _online(connection: apsw.Connection) -> Iterator[str]:
    if connection.execute(f"SELECT EXISTS ({OFFLINE})").get:
        yield f"+folder NOT IN ({OFFLINE})"


def _rows(
    connection: apsw.Connection, clauses: Sequence[str], bindings: dict[str, Any]
) -> tuple[Ids, Ids]:
    """The files, ascending, and the picture of each."""
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    found = connection.execute(
        f"SELECT group_concat(file), group_concat(picture) FROM details {where}", bindings
    ).get
    files, pictures = (lookup.numbers(each) for each in found)
    order = np.argsort(files, kind="stable")
    return files[order], pictures[order]


def _clauses(
    connection: apsw.Connection, filter: wire.Filter, bindings: dict[str, Any]
) -> Iterator[str]:
    if filter.within:
        yield _within(connection, filter.within, bindings)
    if filter.after or filter.before:
        bindings |= _times(filter)
        yield TIME
    for column, parts in (("camera", filter.cameras), ("lens", filter.lenses)):
        if parts:
            bindings[column] = json.dumps(_named(connection, column, parts))
            yield f"{column} IN (SELECT value FROM json_each(:{column}))"
    if filter.extensions:
        bindings["extensions"] = json.dumps([each.lower() for each in filter.extensions])
        yield "extension IN (SELECT value FROM json_each(:extensions))"
    if filter.near:
        yield _near(filter.near, bindings)
    for n, each in enumerate(filter.ranges):
        bindings |= {f"low{n}": each.low, f"high{n}": each.high}
        # told once more, so that its index can be used
        rated = "rating > 0 AND " * (each.of == "rating" and each.low > 0)
        yield f"{rated}{NUMBERS[each.of]} BETWEEN :low{n} AND :high{n}"
    if filter.orientations:
        signs = (ORIENTATIONS[each] for each in filter.orientations)
        yield f"({' OR '.join(f'width {sign} height' for sign in signs)})"


def _within(connection: apsw.Connection, folders: Sequence[bytes], bindings: dict[str, Any]) -> str:
    ids: set[int] = set()
    for folder in folders:
        found = connection.execute(f"SELECT id FROM folders WHERE {UNDER}", under(folder))
        ids.update(id for (id,) in found)
    bindings["within"] = json.dumps(sorted(ids))
    count = int(connection.execute("SELECT count(*) FROM folders").get)
    is_few = len(ids) <= FEW_FOLDERS * count
    return f"{'' if is_few else '+'}folder IN (SELECT value FROM json_each(:within))"


def _times(filter: wire.Filter) -> dict[str, int]:
    first, last = -(1 << 63), (1 << 63) - 1
    return {
        "utc_after": filter.after.utc if filter.after else first,
        "clock_after": filter.after.clock if filter.after else first,
        "utc_before": filter.before.utc if filter.before else last,
        "clock_before": filter.before.clock if filter.before else last,
    }


def _named(connection: apsw.Connection, column: str, parts: Sequence[str]) -> list[str]:
    """The names that have one of the parts in them; of names there are few."""
    wanted = [fold(part) for part in parts]
    names = _names(connection, column)
    return [name for name in names if any(part in fold(name) for part in wanted)]


def _names(connection: apsw.Connection, column: str) -> list[str]:
    rows: list[Any] = connection.execute(NAMES.format(column=column)).fetchall()
    return [name for (name,) in rows if name]


def _near(places: Sequence[wire.Near], bindings: dict[str, Any]) -> str:
    for n, place in enumerate(places):
        degrees = place.km / KM_A_DEGREE
        bindings |= {
            f"south{n}": place.lat - degrees,
            f"north{n}": place.lat + degrees,
            f"lat{n}": place.lat,
            f"lon{n}": place.lon,
            f"km{n}": place.km,
        }
    return f"({' OR '.join(NEAR.format(n=n) for n in range(len(places)))})"
