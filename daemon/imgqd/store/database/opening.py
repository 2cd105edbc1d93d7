"""Connections to the database file: their settings, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import apsw
import sqlite_vec

from imgq.errors import StoreDamaged, StoreError, StoreNewer
from imgqd.store.database import place, schema
from imgqd.store.database.faults import WRITABLE

if TYPE_CHECKING:
    from pathlib import Path

# As the file format has it (sqlite.org/fileformat2.html).
_MAGIC = b"SQLite format 3\0"
BUSY_S = 5.0
# Bytes; SQLite checks a gigabyte a second at best.
MOST_CHECKED_AT_ONCE = 256 << 20
# the tables that do not grow with the pictures
TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0
    AND name NOT IN ('files', 'pictures', 'details', 'texts', 'embedding_sums')
    AND name NOT GLOB 'file_words*' AND name NOT GLOB 'embeddings_*'
"""
NO_VERSION = 1000  # nor any number above
# settings of the file itself, which are made with it
NEW = {
    "page_size": 8192,  # a vector is 2 KiB and more
    "auto_vacuum": "incremental",
}
WRITER = {
    "journal_mode": "wal",
    "synchronous": "normal",
    "foreign_keys": "on",
    "wal_autocheckpoint": 1000,  # pages
    "journal_size_limit": 16 << 20,
    # KiB; the system keeps pages too, and an index that grows fills whatever is allowed here.
    "cache_size": -2048,
    "temp_store": "memory",
}
READER = {"query_only": "on", "cache_size": -1024}


def open_writer(path: Path) -> apsw.Connection:
    """The connection that writes; the file is made where there is none, and an older one brought
    to this form. Refuses what is damaged, another program's or newer."""
    place.refuse_other(path)
    place.create(path)
    connection = connect(path, apsw.SQLITE_OPEN_READWRITE)
    try:
        _refuse(connection, path)
        if connection.readonly("main"):
            _refuse_unwritable(path)
        is_new = schema.version(connection) == 0
        for name, value in ((NEW if is_new else {}) | WRITER).items():
            connection.pragma(name, value)
        if schema.version(connection) < len(schema.MIGRATIONS):
            _upgrade(connection, path)
        _refuse_incomplete(connection, path)
    except BaseException:
        close_untouched(connection, path)
        raise
    return connection


def close_untouched(connection: apsw.Connection, path: Path) -> None:
    """Without writing the log into the database, where there is one: it may be another's."""
    if place.size(place.log_of(path)):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def open_reader(path: Path, *, immutable: bool = False) -> apsw.Connection:
    """A connection that reads. immutable: as in `connect`."""
    connection = connect(path, apsw.SQLITE_OPEN_READONLY, immutable=immutable)
    for name, value in READER.items():
        connection.pragma(name, value)
    return connection


def open_immutable(path: Path) -> apsw.Connection:
    """In place of a connection that writes, where not even a log can be written."""
    place.refuse_other(path)
    connection = open_reader(path, immutable=True)
    try:
        _refuse(connection, path)
        if schema.version(connection) < len(schema.MIGRATIONS):
            raise StoreError(f"the index {path} is of an older imgq and cannot be written")
        _refuse_incomplete(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, flags: int, *, immutable: bool = False) -> apsw.Connection:
    """immutable: the file is not written by anyone, its log not looked at."""
    # as a URI, any bytes can be a path
    name = "file:" + quote(os.fsencode(path)) + ("?immutable=1" if immutable else "")
    connection = apsw.Connection(name, flags=flags | apsw.SQLITE_OPEN_URI)
    connection.set_busy_timeout(round(BUSY_S * 1000))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    return connection


def _refuse(connection: apsw.Connection, path: Path) -> None:
    if schema.is_foreign(connection):
        raise StoreDamaged(f"{path} is a database, and not an index of imgq")
    version = schema.version(connection)
    _refuse_newer(path, version)
    if not 0 <= version < NO_VERSION or (version == 0 and not schema.is_empty(connection)):
        raise StoreDamaged(f"the index {path} is damaged: it is of no version")
    if problems := _problems(connection, path):
        raise StoreDamaged(f"the index {path} is damaged: {problems[0]}")


def _refuse_newer(path: Path, version: int) -> None:
    if len(schema.MIGRATIONS) < version < NO_VERSION:
        raise StoreNewer(
            f"a newer imgq wrote the index {path}", "update imgq, or move that file away"
        )


def refuse_newer(path: Path) -> None:
    """By the file's header alone, whoever has it open. Raises StoreNewer and OSError."""
    with open(path, "rb") as file:
        header = file.read(100)
    if header.startswith(_MAGIC):
        _refuse_newer(path, int.from_bytes(header[60:64], "big"))


def refuse_damaged(path: Path) -> None:
    """What a start would set aside, looked at beside whoever has it open; what cannot be looked at now
    passes. Raises StoreDamaged, StoreNewer and OSError."""
    refuse_newer(path)
    try:
        connection = connect(path, apsw.SQLITE_OPEN_READONLY)
        try:
            _refuse(connection, path)
        finally:
            close_untouched(connection, path)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(f"the index {path} is damaged: {error}") from None
    except apsw.Error:
        return


def is_checked_later(path: Path) -> bool:
    """Whether the database is so large that nobody is to wait until all of it has been checked."""
    return place.size(path) > MOST_CHECKED_AT_ONCE


def _problems(connection: apsw.Connection, path: Path) -> list[str]:
    """What SQLite says of its own structures; of a large database those of its small tables: what is
    wrong with the others is noticed where they are read, or when all is checked."""
    if not is_checked_later(path):
        return schema.findings(connection, "quick_check(5)")
    return [
        problem
        for (table,) in connection.execute(TABLES)
        for problem in schema.findings(connection, f'quick_check("{table}")')
    ]


def _refuse_unwritable(path: Path) -> None:
    # SQLite writes no file of a version that it does not know
    if os.access(path, os.W_OK):
        raise StoreDamaged(f"the index {path} is damaged: its header is none of SQLite's")
    raise StoreError(f"cannot write the index {path}", WRITABLE)


def _upgrade(connection: apsw.Connection, path: Path) -> None:
    try:
        schema.upgrade(connection, schema.MIGRATIONS)
    except apsw.SQLError as error:
        raise StoreDamaged(f"the index {path} is not of the version it says: {error}") from error


def _refuse_incomplete(connection: apsw.Connection, path: Path) -> None:
    if lacking := schema.lacking(connection):
        raise StoreDamaged(f"the index {path} is damaged: it lacks {', '.join(lacking)}")
