"""The database file: its connections and its transactions.

One connection writes, behind a lock, and every write begins IMMEDIATE (a deferred upgrade fails at
once where another wrote meanwhile); each thread that reads has a connection to itself. Reading
goes through a gate, which is closed while the file is replaced by another.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from imgq.errors import StoreBusy, StoreDamaged, StoreError
from imgqd.store.database import place, schema
from imgqd.store.database.faults import translated
from imgqd.store.database.gate import Gate
from imgqd.store.database.opening import (
    BUSY_S,
    close_untouched,
    open_immutable,
    open_reader,
    open_writer,
)
from imgqd.store.database.readers import Readers
from imgqd.store.vectors import vec0

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The log may grow to 64 MB; the largest commits take a quarter of that.
MOST_LOG = 48 << 20
SHRUNK_AT_ONCE = 1000  # pages


class Database:
    """A database file, open. `immutable` opens it for reading alone and writes nothing at all, not
    even a log, which is what is left where the disk is full; what was not checkpointed is not
    seen. `damage` is set whenever anything raised StoreDamaged."""

    def __init__(self, path: Path, *, immutable: bool = False) -> None:
        self.path = place.true_path(path)
        self.commits = 0  # made by this object: what was read before one may be out of date
        self.lock = threading.RLock()  # of who writes
        self.damage = threading.Event()
        self._gate = Gate(BUSY_S)
        self._readers = Readers(self._new_reader)
        with self.guarded():
            self._use(open_immutable(self.path) if immutable else open_writer(self.path), immutable)

    def _use(self, writer: apsw.Connection, immutable: bool) -> None:
        self._writer = writer
        self.is_immutable = immutable
        self._schema: int | None = None  # that was last looked at
        self.origin = schema.origin(writer)  # which makes the log
        self._found = place.found(self.path)
        # the file cannot be shorter, unless what is in the log cuts it
        self._least = min(place.size(self.path), _length(writer))
        self._checked: object = None  # the stamps of what was last found to be sound
        self.commits += 1

    @contextmanager
    def guarded(self) -> Iterator[None]:
        try:
            with translated(self.path):
                yield
        except StoreDamaged:
            self.damage.set()
            raise

    def _new_reader(self) -> apsw.Connection:
        """To the file in use."""
        self._refuse_replaced()
        return open_reader(self.path, immutable=self.is_immutable)

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A connection of this thread's; all that is read within sees the same commits."""
        with self._gate.passed(), self.guarded(), self._readers.one() as connection, connection:
            yield connection

    @contextmanager
    def write(self, *, whole: bool = True) -> Iterator[apsw.Connection]:
        """The connection that writes, alone, in a transaction that is committed whole or not at
        all. whole: not where a table is missing."""
        with self.lock, self.guarded():
            if self.is_immutable:
                raise StoreError(f"the index {self.path} is open for reading alone")
            self._brake()
            if self._writer.in_transaction:  # the last one could not even be rolled back
                self._writer.execute("ROLLBACK")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                if whole:
                    self._refuse_incomplete()
                yield self._writer
                self._writer.execute("COMMIT")
                self.commits += 1
            except BaseException:
                # SQLite may have done so by itself, or be unable to: the first error is to be told
                with suppress(apsw.Error):
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                raise

    def _refuse_incomplete(self) -> None:
        """Where another program changed the tables, vec0 may end the process for want of one."""
        version = self._writer.pragma("schema_version")
        if version != self._schema:
            if lacking := schema.lacking(self._writer) + vec0.all_lacking(self._writer):
                raise StoreDamaged(
                    f"the index {self.path} is damaged: it lacks {', '.join(lacking)}"
                )
            self._schema = version

    def _brake(self) -> None:
        """Nothing more is written while a log that is long enough cannot be emptied; but by a thread that
        is itself amid reading, which would wait for its own end."""
        if place.size(place.log_of(self.path)) > MOST_LOG and not self._readers.is_at_it:
            try:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError as error:
                raise StoreBusy(
                    f"another process reads the index {self.path} without an end,"
                    " and its log is too long by now",
                    "end that process",
                ) from error

    def shrink(self) -> None:
        """Gives pages that nothing uses, and the log, back to the file system."""
        free = -1
        while self._free() not in (0, free):
            free = self._free()
            with self.write() as connection:
                connection.execute(f"PRAGMA incremental_vacuum({SHRUNK_AT_ONCE})").fetchall()
                # A checkpoint may cut the file so short, and what is written then is in the log at first.
                self._least = min(self._least, _length(connection))
        # where a reader is at it: the next time, then
        with self.lock, self.guarded(), suppress(apsw.BusyError):
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def free_memory(self) -> None:
        """Forgets the pages that were read, which the system has as well."""
        with self.lock, self.guarded():
            self._writer.pragma("shrink_memory")
            self._readers.free_memory()

    def _free(self) -> int:
        """Pages that nothing uses."""
        with self.read() as connection:
            return int(connection.pragma("freelist_count"))

    def size(self) -> int:
        """Bytes on disk, the log included."""
        return sum(
            place.size(self.path.with_name(self.path.name + suffix)) for suffix in place.BESIDE
        )

    def check_file(self) -> None:
        """Raises StoreDamaged where the file or its log was deleted, replaced, cut or overwritten:
        writes would succeed in silence."""
        stamps = place.stamps(self.path)
        if stamps is not None and stamps == self._checked:
            return
        with self.lock, self.guarded():
            self._refuse_replaced()
            length, size = _length(self._writer), place.size(self.path)
            if size < min(self._least, length):
                raise StoreDamaged(f"the index {self.path} was cut while it was open")
            self._least = min(size, length)
            # this one has nothing in its cache yet
            with closing(open_reader(self.path, immutable=self.is_immutable)) as fresh:
                if schema.origin(fresh) != self.origin:
                    raise StoreDamaged(f"the index {self.path} was overwritten while it was open")
        self._checked = stamps

    def check_pages(self) -> None:
        """Raises StoreDamaged where the file is not sound. Reads all of it."""
        with self.read() as connection:
            if problems := schema.findings(connection, "quick_check(5)"):
                raise StoreDamaged(f"the index {self.path} is damaged: {problems[0]}")

    def _refuse_replaced(self) -> None:
        now, before = place.found(self.path), self._found
        if now != before and (now[0] != before[0] or not self.is_immutable):
            raise StoreDamaged(f"the index {self.path} was deleted or replaced while it was open")

    def make_writable(self) -> None:
        """Where it was opened immutable; raises StoreFull while there is still no space, and stays as
        it is."""
        with self.lock, self.guarded(), self._gate.closed():
            if self.is_immutable:
                writer = open_writer(self.path)
                self._disconnect()
                self._use(writer, False)

    def put_in_place(self) -> Path | None:
        """Has the database that was built for this path take the place of this one, which is set
        aside; where that is. Whoever reads or writes meanwhile waits, and goes on with the new
        one."""
        with self.lock, self.guarded(), self._gate.closed():
            self._disconnect()
            aside = place.put_in_place(self.path)
            self._use(open_writer(self.path), False)
            self.damage.clear()
            return aside

    @contextmanager
    def source(self) -> Iterator[apsw.Connection]:
        """What can still be read of the file that was opened, though another may lie at its path by
        now; under the lock."""
        with self.guarded():
            if self._is_closed():
                with closing(open_reader(self.path)) as reader:
                    yield reader
            else:
                yield self._writer

    def _is_closed(self) -> bool:
        """Whether nothing is left to read by; any other fault leaves something."""
        try:
            self._writer.execute("SELECT 1").fetchall()
        except apsw.ConnectionClosedError:
            return True
        except apsw.Error:
            return False
        return False

    def _disconnect(self) -> None:
        self._readers.close()
        self._writer.close()  # the last: it checkpoints

    def close_untouched(self) -> None:
        """Without writing the log into the database: it may be another's."""
        close_untouched(self._writer, self.path)
        self.close()

    def close(self) -> None:
        with self.lock:
            self._disconnect()


def _length(connection: apsw.Connection) -> int:
    """Bytes of the database, those that are in the log alone included."""
    pages: int = connection.pragma("page_count")
    size: int = connection.pragma("page_size")
    return pages * size
