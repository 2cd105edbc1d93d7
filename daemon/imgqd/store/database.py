"""The database file: its connections, its settings, its transactions.

One connection writes, behind a lock, and every write begins IMMEDIATE (a deferred upgrade fails at
once where another wrote meanwhile); each thread that reads has a connection of its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

import apsw
import sqlite_vec

from imgq.errors import StoreDamaged, StoreError, StoreNewer
from imgqd.store import schema
from imgqd.store.faults import WRITABLE, translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BESIDE = ("", "-wal", "-shm")
BUSY_MS = 5000
WRITER = {
    "page_size": 8192,  # a vector is 2 KiB and more
    "auto_vacuum": "incremental",
    "journal_mode": "wal",
    "synchronous": "normal",
    "foreign_keys": "on",
    "wal_autocheckpoint": 1000,  # pages
    "journal_size_limit": 64 << 20,
    "cache_size": -16384,  # KiB
    "temp_store": "memory",
}
READER = {"query_only": "on", "cache_size": -8192}


class Database:
    """A database file, open. `immutable` opens it for reading alone and writes nothing at all, not
    even a log, which is what is left where the disk is full; what was not checkpointed is not
    seen."""

    def __init__(self, path: Path, *, immutable: bool = False) -> None:
        self.path = path.absolute()
        self.commits = 0  # made by this object: what was read before one may be out of date
        self._immutable = immutable
        self._lock = threading.RLock()
        self._local = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        with translated(self.path):
            if not immutable:
                _create(self.path)
            self._writer = self._connect(apsw.SQLITE_OPEN_READWRITE)
            try:
                self._prepare()
            except BaseException:
                self._writer.close()
                raise
            self._file = _file(self.path)

    def _prepare(self) -> None:
        """Refuses what is damaged, another program's or newer; takes what is older to this
        version."""
        if schema.is_foreign(self._writer):
            raise StoreDamaged(f"{self.path} is a database, and not an index of imgq")
        if schema.version(self._writer) > len(schema.MIGRATIONS):
            raise StoreNewer(
                f"a newer imgq wrote the index {self.path}", "update imgq, or move that file away"
            )
        problem = self._writer.execute("PRAGMA quick_check(1)").get
        if problem != "ok":
            raise StoreDamaged(f"the index {self.path} is damaged: {problem}")
        if self._writer.readonly("main") and not self._immutable:
            raise StoreError(f"cannot write the index {self.path}", WRITABLE)
        older = schema.version(self._writer) < len(schema.MIGRATIONS)
        if self._immutable:
            if older:
                raise StoreError(f"the index {self.path} is of an older imgq and cannot be written")
            return
        for name, value in WRITER.items():
            self._writer.pragma(name, value)
        if older:
            schema.upgrade(self._writer, schema.MIGRATIONS)

    def _connect(self, flags: int) -> apsw.Connection:
        # as a URI, any bytes can be a path
        name = "file:" + quote(os.fsencode(self.path))
        if self._immutable:
            name, flags = name + "?immutable=1", apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(name, flags=flags | apsw.SQLITE_OPEN_URI)
        connection.set_busy_timeout(BUSY_MS)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        return connection

    def _reader(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect(apsw.SQLITE_OPEN_READONLY)
            for name, value in READER.items():
                connection.pragma(name, value)
            self._local.connection = connection
            self._readers.add(connection)
        return connection

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """This thread's connection; all that is read within sees the same commits."""
        with translated(self.path):
            connection = self._reader()
            with connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """The connection that writes, alone, in a transaction that is committed whole or not at
        all."""
        with self._lock, translated(self.path):
            if self._immutable:
                raise StoreError(f"the index {self.path} is open for reading alone")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
                self.commits += 1
            except BaseException:
                # SQLite may have done so by itself, or be unable to: the first error is to be told
                with suppress(apsw.Error):
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                raise

    def shrink(self) -> None:
        """Gives pages that nothing uses, and the log, back to the file system."""
        with self._lock, translated(self.path):
            self._writer.execute("PRAGMA incremental_vacuum").fetchall()
            with suppress(apsw.BusyError):  # a reader is at it: the next time, then
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def size(self) -> int:
        """Bytes on disk, the log included."""
        total = 0
        for suffix in BESIDE:
            with suppress(FileNotFoundError):
                total += os.stat(f"{self.path}{suffix}").st_size
        return total

    def check_file(self) -> None:
        """Raises StoreDamaged where the file was unlinked or replaced: writes would succeed in
        silence."""
        if _file(self.path) != self._file:
            raise StoreDamaged(f"the index {self.path} was deleted or replaced while it was open")

    def close(self) -> None:
        with self._lock:
            for connection in list(self._readers):
                # one that still reads is closed when it is done
                with suppress(apsw.ThreadingViolationError):
                    connection.close()
            self._writer.close()  # the last: it checkpoints


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def set_aside(path: Path) -> Path:
    """Renames a database that is not open, its log with it, to a name with the date; returns
    that."""
    date = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (path.with_name(f"{path.name}.damaged-{date}{n or ''}") for n in count())
    aside = next(name for name in names if not name.exists())
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside
