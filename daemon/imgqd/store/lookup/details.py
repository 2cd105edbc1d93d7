"""What filters and words are looked up in: derived of a file, of the picture it shows and of the sidecar
beside it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from imgqd.store import notes
from imgqd.store.lookup import sidecars
from imgqd.store.lookup.words import indexed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw

    from imgqd.records import Notes

AT_ONCE = 1000
SECOND = timedelta(seconds=1)
ROWS = f"""
SELECT files.id, files.picture, files.folder, files.name, files.size, files.mtime_ns, width, height,
    {", ".join(f"pictures.{name}" for name in notes.NAMES)}
FROM files CROSS JOIN pictures ON pictures.id = files.picture
"""
ALL = f"{ROWS} WHERE files.id BETWEEN ? AND ? ORDER BY files.id"
SOME = f"{ROWS} WHERE files.id IN (SELECT value FROM json_each(?)) ORDER BY files.id"
SHOWS_NONE = "file NOT IN (SELECT id FROM files WHERE picture IS NOT NULL)"
LONGEST_EXTENSION = 32
# SQLite's own; a file's time may lie beyond
MOST_TIME = (1 << 63) - 1


class Detail(NamedTuple):
    """A row of `details`."""

    file: int
    picture: int
    folder: int
    zoned: int
    time: int
    width: int
    height: int
    bytes: int
    extension: str
    rating: int
    latitude: float | None
    longitude: float | None
    camera: str | None
    lens: str | None
    sidecar: int | None


class Text(NamedTuple):
    """A row of `texts`."""

    file: int
    name: str
    title: str | None
    description: str | None
    keywords: str | None
    camera: str | None


def derive(connection: apsw.Connection, files: Sequence[int] | None = None) -> None:
    """Brings the rows of these files up to date, or of all."""
    if files is None:
        for table in ("details", "texts"):
            connection.execute(f"DELETE FROM {table} WHERE {SHOWS_NONE}")
        for some in _all(connection):
            _bring(connection, some)
        return
    for first in range(0, len(files), AT_ONCE):
        asked = files[first : first + AT_ONCE]
        found = list(_derived(connection, connection.execute(SOME, (json.dumps(asked),))))
        none = {*asked} - {detail.file for detail, _ in found}
        for table in ("details", "texts"):
            connection.executemany(
                f"DELETE FROM {table} WHERE file = ?", [(file,) for file in none]
            )
        _bring(connection, found)


def wrong(connection: apsw.Connection) -> int:
    """How many files have other rows than those that follow from what is known of them."""
    count = 0
    for table in ("details", "texts"):
        count += int(connection.execute(f"SELECT count(*) FROM {table} WHERE {SHOWS_NONE}").get)
    for some in _all(connection):
        known = _known(connection, [detail.file for detail, _ in some])
        count += sum(known.get(pair[0].file) != pair for pair in some)
    return count


def _bring(connection: apsw.Connection, found: list[tuple[Detail, Text]]) -> None:
    """Only what differs is written: each text costs its words."""
    known = _known(connection, [detail.file for detail, _ in found])
    details, texts = [], []
    for detail, text in found:
        before = known.get(detail.file, (None, None))
        if before[0] != detail:
            details.append(detail)
        if before[1] != text:
            texts.append(text)
    _put(connection, "details", Detail, details)
    connection.executemany("DELETE FROM texts WHERE file = ?", [(text.file,) for text in texts])
    _put(connection, "texts", Text, texts)


def _put(connection: apsw.Connection, table: str, kind: Any, rows: Iterable[Any]) -> None:
    places = ", ".join("?" for _ in kind._fields)
    connection.executemany(
        f"INSERT OR REPLACE INTO {table}({', '.join(kind._fields)}) VALUES ({places})", rows
    )


def _known(
    connection: apsw.Connection, files: Sequence[int]
) -> dict[int, tuple[Detail | None, Text | None]]:
    ids = json.dumps(files)

    def rows(table: str, kind: Any) -> dict[int, Any]:
        found = connection.execute(
            f"SELECT {', '.join(kind._fields)} FROM json_each(?) CROSS JOIN {table} ON file = value",
            (ids,),
        )
        return {row[0]: kind(*row) for row in found}

    details, texts = rows("details", Detail), rows("texts", Text)
    return {file: (details.get(file), texts.get(file)) for file in {*details, *texts}}


def _all(connection: apsw.Connection) -> Iterator[list[tuple[Detail, Text]]]:
    last = int(connection.execute("SELECT coalesce(max(id), 0) FROM files").get)
    for first in range(1, last + 1, AT_ONCE):
        rows = connection.execute(ALL, (first, first + AT_ONCE - 1))
        if some := list(_derived(connection, rows)):
            yield some


def _derived(connection: apsw.Connection, rows: Iterable[Any]) -> Iterator[tuple[Detail, Text]]:
    beside = sidecars.Beside(connection)
    for file, picture, folder, name, size, mtime_ns, width, height, *columns in list(rows):
        sidecar, said = beside.over(folder, name, notes.notes(tuple(columns)))
        zoned, time = moment(said, int(mtime_ns))
        yield (
            Detail(
                file,
                picture,
                folder,
                zoned,
                time,
                width,
                height,
                size,
                extension(name),
                said.rating or 0,
                said.latitude,
                said.longitude,
                said.camera,
                said.lens,
                sidecar,
            ),
            _text(file, name, said),
        )


def _text(file: int, name: bytes, said: Notes) -> Text:
    said_in_words = (said.title, said.description, "\n".join(said.keywords), said.camera)
    return Text(
        file,
        indexed(name.decode(errors="replace")),
        *(indexed(text) if text else None for text in said_in_words),
    )


def moment(said: Notes, mtime_ns: int) -> tuple[int, int]:
    """Whether the zone is known, and seconds since 1970: in UTC where it is, else as the clock stood.
    Of the file where nobody says when the picture was taken."""
    if said.taken_at is not None:
        taken = datetime.fromisoformat(said.taken_at)
        zoned = taken.tzinfo is not None
        utc = taken if zoned else taken.replace(tzinfo=UTC)
        return int(zoned), (utc - datetime(1970, 1, 1, tzinfo=UTC)) // SECOND
    return 1, max(-MOST_TIME, min(mtime_ns // 10**9, MOST_TIME))


def extension(name: bytes) -> str:
    """In lower case, without its dot."""
    _, dot, end = os.path.basename(name).rpartition(b".")
    return end.decode(errors="replace").lower()[:LONGEST_EXTENSION] if dot else ""
