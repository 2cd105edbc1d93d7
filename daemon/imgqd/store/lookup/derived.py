"""What filters and words are looked up in, held against what it is derived of, and made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from imgqd.store.database.version3 import FILE_WORDS, FOLDER_WORDS
from imgqd.store.lookup import details, names

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("details", "texts", "folder_texts")
WORDS = {"file_words": FILE_WORDS, "folder_words": FOLDER_WORDS}
# the tables that FTS5 keeps an index in: it drops none without them
FORM = 4  # the version of all that
PARTS = {
    "data": "id INTEGER PRIMARY KEY, block BLOB",
    "idx": "segid, term, pgno, PRIMARY KEY(segid, term)",
    "docsize": "id INTEGER PRIMARY KEY, sz BLOB",
    "config": "k PRIMARY KEY, v",
}


def faults(connection: apsw.Connection) -> Iterator[tuple[str, int]]:
    """What is wrong with the rows, in words, and how many files it concerns."""
    if files := details.wrong(connection):
        yield f"filters and words have {files} files wrong", files
    if folders := names.wrong(connection):
        yield f"words have {folders} folders wrong", 0


def unsound(connection: apsw.Connection) -> list[str]:
    """The indexes of words that are not those of their texts; in a transaction that may write."""
    return [name for name in WORDS if not _is_sound(connection, name)]


def remake(connection: apsw.Connection) -> None:
    """Makes the indexes of words anew that are not sound."""
    for name, create in WORDS.items():
        if _lacks(connection, name) or not _is_sound(connection, name):
            connection.execute(f"DROP TABLE IF EXISTS {name}")
            for part in PARTS:
                connection.execute(f"DROP TABLE IF EXISTS {name}_{part}")
            connection.execute(create)
            connection.execute(f"INSERT INTO {name}({name}) VALUES ('rebuild')")


def _lacks(connection: apsw.Connection, name: str) -> bool:
    """Whether one of its tables is missing; then there is one of that name now, without which FTS5
    drops nothing."""
    there = {table for (table,) in connection.execute("SELECT name FROM sqlite_master")}
    missing = [part for part in PARTS if f"{name}_{part}" not in there]
    for part in missing:
        connection.execute(f"CREATE TABLE {name}_{part}({PARTS[part]})")
    if "config" in missing:
        connection.execute(f"INSERT INTO {name}_config VALUES ('version', {FORM})")
    return bool(missing)


def renew(connection: apsw.Connection) -> None:
    """Brings every row up to date."""
    names.derive(connection)
    details.derive(connection)


def _is_sound(connection: apsw.Connection, name: str) -> bool:
    try:
        # 1: against the texts, too
        connection.execute(f"INSERT INTO {name}({name}, rank) VALUES ('integrity-check', 1)")
    except (apsw.CorruptError, apsw.SQLError):
        return False
    return True
