"""What filters and words are looked up in, held against what it is derived of, and made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from imgqd.store import details, names
from imgqd.store.version3 import FILE_WORDS, FOLDER_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = {"file_words": FILE_WORDS, "folder_words": FOLDER_WORDS}


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
    for name in unsound(connection):
        connection.execute(f"DROP TABLE IF EXISTS {name}")
        connection.execute(WORDS[name])
        connection.execute(f"INSERT INTO {name}({name}) VALUES ('rebuild')")


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
