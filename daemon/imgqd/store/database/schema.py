"""The tables, and the way from each older form of them to this one.

Paths are bytes as the system has them. Columns without a type hold numbers of the system that may
pass 63 bits (see `part.fit`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import apsw

from imgqd.store.database import version2, version3, version4, version5

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

APPLICATION_ID = 0x696D6771  # "imgq", in the file's header

FIRST = """
CREATE TABLE roots(
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    device NOT NULL,
    inode NOT NULL,
    fsid TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'online' CHECK (state IN ('online', 'offline')),
    had_entries INTEGER NOT NULL DEFAULT 0,
    mount INTEGER NOT NULL DEFAULT 0
);

-- a folder that holds known files; root is the deepest root over it
CREATE TABLE folders(
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    root INTEGER NOT NULL REFERENCES roots
);
CREATE INDEX folders_root ON folders(root);

-- ids are never given twice: a stale one must not mean another picture
CREATE TABLE pictures(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    format TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    taken_at TEXT,
    camera TEXT,
    lens TEXT,
    latitude REAL,
    longitude REAL,
    orphaned_at REAL  -- since when no file shows it; NULL where one does
);
CREATE INDEX pictures_orphaned ON pictures(orphaned_at) WHERE orphaned_at IS NOT NULL;

-- every regular file that was seen: it shows a picture, or has a failure, or is no picture
CREATE TABLE files(
    id INTEGER PRIMARY KEY,
    folder INTEGER NOT NULL REFERENCES folders,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns NOT NULL,
    ctime_ns NOT NULL,
    inode NOT NULL,
    device NOT NULL,
    trusted INTEGER NOT NULL,
    picture INTEGER REFERENCES pictures,
    UNIQUE (folder, name)
);
CREATE INDEX files_inode ON files(inode);
CREATE INDEX files_folder ON files(folder, picture);
CREATE INDEX files_picture ON files(picture, folder) WHERE picture IS NOT NULL;

CREATE TABLE models(
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    dim INTEGER NOT NULL
);

-- model: set where the fault lies with a model's vector, and counts for that model alone
CREATE TABLE failures(
    file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    hash BLOB,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    decoder TEXT NOT NULL,
    model INTEGER REFERENCES models
);
CREATE INDEX failures_hash ON failures(hash) WHERE hash IS NOT NULL;

-- one row a vector in the model's own table, embeddings_<model>; checksum: as in `sums`;
-- stale: to be embedded again, and good for answers until then
CREATE TABLE embedding_sums(
    picture INTEGER NOT NULL REFERENCES pictures ON DELETE CASCADE,
    model INTEGER NOT NULL REFERENCES models,
    checksum INTEGER NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (picture, model)
) WITHOUT ROWID;
"""


def create(connection: apsw.Connection) -> None:
    connection.execute(FIRST).fetchall()


# The n-th takes a database of version n to version n + 1; none is ever changed once released.
MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (
    create,
    version2.migrate,
    version3.migrate,
    version4.migrate,
    version5.migrate,
)


def version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def origin(connection: apsw.Connection) -> bytes:
    """What tells this database from every other; one that was copied has the same."""
    id: bytes = connection.execute("SELECT id FROM origin").get
    return id


def lacking(connection: apsw.Connection) -> list[str]:
    """The tables and indexes of the newest version that this database does not have, or has in
    another form."""
    whole = apsw.Connection(":memory:")
    upgrade(whole, MIGRATIONS)
    there = set(_objects(connection))
    return sorted(name for name, sql in _objects(whole) if (name, sql) not in there)


def findings(connection: apsw.Connection, check: str) -> list[str]:
    """What SQLite's own check finds, but for the indexes of words: those are made again at any time."""
    lines = [line for (line,) in connection.execute(f"PRAGMA {check}")]
    words = re.compile(r"\b(file|folder)_words\b")
    return [line for line in lines if line != "ok" and not words.search(line)]


def _objects(connection: apsw.Connection) -> list[tuple[str, str]]:
    found: list[Any] = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL"
    ).fetchall()
    return found


def is_foreign(connection: apsw.Connection) -> bool:
    """Whether the database is another program's: neither marked as imgq's nor empty."""
    if connection.pragma("application_id") == APPLICATION_ID:
        return False
    return not is_empty(connection)


def is_empty(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").get


def upgrade(
    connection: apsw.Connection, migrations: Sequence[Callable[[apsw.Connection], None]]
) -> None:
    """Takes the database to version len(migrations), whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migrate in migrations[version(connection) :]:
            migrate(connection)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", len(migrations))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
