"""The store held against itself, and what can be derived made again."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from imgq.errors import StoreBusy, StoreDamaged, StoreFull
from imgqd.store.database import schema
from imgqd.store.folders import is_under
from imgqd.store.lookup import derived
from imgqd.store.records import Fault, Model
from imgqd.store.repair import kept
from imgqd.store.repair.anatomy import Anatomy
from imgqd.store.repair.kept import Kept
from imgqd.store.repair.rebuild import rebuild
from imgqd.store.roots import Roots, read_roots
from imgqd.store.vectors import models, vec0
from imgqd.store.vectors.embeddings import forget

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

KNOWN = (
    "INSERT OR IGNORE INTO models(id, identity, name, dim, role, keeps) VALUES (?, ?, ?, ?, ?, ?)"
)
FILES_OF = "SELECT count(*) FROM files WHERE picture IN (SELECT value FROM json_each(?))"
IS_SHOWN = "EXISTS (SELECT 1 FROM files WHERE files.picture = pictures.id)"
EMPTY = "FROM folders WHERE id NOT IN (SELECT folder FROM files)"
TWICE = "FROM files WHERE picture IS NOT NULL AND id IN (SELECT file FROM failures)"
COUNTED = (
    (
        "orphans",
        f"FROM pictures WHERE orphaned_at IS NOT NULL AND {IS_SHOWN}",
        "pictures are hidden",
    ),
    (
        "orphans",
        f"FROM pictures WHERE orphaned_at IS NULL AND NOT {IS_SHOWN}",
        "pictures have no file",
    ),
    ("folders", EMPTY, "folders hold no file"),
    ("failures", TWICE, "files both show a picture and failed to"),
)
# Rows that refer to nothing, or to two things at once. The file is read again from the disk.
MENDED = (
    "DELETE FROM files WHERE folder NOT IN (SELECT id FROM folders)",
    "DELETE FROM files WHERE picture NOT IN (SELECT id FROM pictures)",
    "DELETE FROM files WHERE id IN"
    " (SELECT file FROM failures WHERE model NOT IN (SELECT id FROM models))",
    f"DELETE {TWICE}",
    "DELETE FROM failures WHERE file NOT IN (SELECT id FROM files)",
    "DELETE FROM sidecars WHERE file NOT IN (SELECT id FROM files)",
    "DELETE FROM departures WHERE picture NOT IN (SELECT id FROM pictures)",
    "DELETE FROM embedding_sums WHERE picture NOT IN (SELECT id FROM pictures)"
    " OR model NOT IN (SELECT id FROM models)",
    f"DELETE {EMPTY}",
    f"UPDATE pictures SET orphaned_at = NULL WHERE {IS_SHOWN}",
)
# What is derived is compared by itself; what left a picture that is not there is asked for by nothing.
PASSED_OVER = (*derived.TABLES, "departures")
FORGET = f"UPDATE pictures SET orphaned_at = ? WHERE orphaned_at IS NULL AND NOT {IS_SHOWN}"


class Checking(Roots):
    def check(self) -> list[Fault]:
        """What is wrong with the store: its file, its rows, its vectors. Reads every page."""
        try:
            self._database.check_file()
            with self._database.read() as connection:
                found = list(self._faults(connection))
            return found + list(self._word_faults())
        except StoreDamaged as error:
            return [Fault("damaged", error.message)]

    def repair(self) -> None:
        """Makes again what can be derived, in one transaction: SQLite's indexes, the vec0 table of a
        model out of its sound vectors, what refers to what. A file whose row or vector was lost is
        new, or pending, at the next scan; the vectors in memory are to be read again. Raises
        StoreDamaged where the database itself is not sound: there is `renew` for that."""
        self._database.check_file()
        with self._changed(whole=False) as connection:
            derived.remake(connection)
            if lacking := schema.lacking(connection):
                raise StoreDamaged(f"the index lacks {', '.join(lacking)}")
            if _findings(connection):
                connection.execute("REINDEX").fetchall()
            if findings := _findings(connection):
                raise StoreDamaged(f"the index is damaged: {findings[0]}")
            for held in self._held:
                connection.execute(KNOWN, (*astuple(held.model), held.role, held.keeps))
            self._restore(connection)
            _mend_rows(connection)
            derived.renew(connection)
            for model in _models(connection):
                anatomy = Anatomy(connection, model)
                if anatomy.faults:
                    rebuild(connection, model)
                elif anatomy.lost:
                    forget(connection, model, anatomy.lost)
        self._database.damage.clear()

    def _complete(self) -> None:
        """Makes a vec0 table again that lacks one of its own: nothing can be written before."""
        with self._database.read() as connection:
            lacking = vec0.all_lacking(connection)
        if lacking and not self._database.is_immutable:
            with self._database.write(whole=False) as connection:
                for model in _models(connection):
                    if vec0.lacking(connection, model.id):
                        rebuild(connection, model)

    def _faults(self, connection: apsw.Connection) -> Iterator[Fault]:
        for problem in [*_findings(connection), *schema.lacking(connection)]:
            yield Fault("damaged", f"the database is not sound: {problem}")
        yield from _dangling(connection)
        for code, which, words in COUNTED:
            if count := connection.execute(f"SELECT count(*) {which}").get:
                yield Fault(code, f"{count} {words}", count if code == "failures" else 0)
        yield from self._root_faults(connection)
        yield from (Fault("details", *told) for told in derived.faults(connection))
        for model in _models(connection):
            yield from _vector_faults(connection, model)

    def _word_faults(self) -> Iterator[Fault]:
        """FTS5 checks itself only where it may write."""
        with suppress(StoreFull, StoreBusy):
            if not self._database.is_immutable:
                with self._database.write(whole=False) as connection:
                    for name in derived.unsound(connection):
                        yield Fault("words", f"the index of words {name} is not that of its texts")

    def _root_faults(self, connection: apsw.Connection) -> Iterator[Fault]:
        if wrong := len(_misplaced(connection)):
            yield Fault("roots", f"{wrong} folders belong to another root than is over them")
        now = Kept(self._database.origin, tuple(read_roots(connection)))
        if kept.read(self._database.path) != now:
            yield Fault("roots", "the roots beside the index are not those in it")


def _findings(connection: apsw.Connection) -> list[str]:
    """What SQLite says of its own structures."""
    return schema.findings(connection, "integrity_check(20)")


def _models(connection: apsw.Connection) -> list[Model]:
    return [Model(*row) for row in models.rows(connection)]


def _dangling(connection: apsw.Connection) -> Iterator[Fault]:
    rows = connection.execute("PRAGMA foreign_key_check")
    counts = Counter((table, parent) for table, _, parent, _ in rows if table not in PASSED_OVER)
    for (table, parent), count in counts.items():
        files = count if table == "files" else 0
        yield Fault(
            "dangling", f"{count} rows of {table} refer to {parent} that are not there", files
        )


def _vector_faults(connection: apsw.Connection, model: Model) -> Iterator[Fault]:
    anatomy = Anatomy(connection, model)
    for words in anatomy.faults:
        yield Fault("vectors", f"the table of vectors of {model.name}: {words}")
    if lost := anatomy.lost:
        files = connection.execute(FILES_OF, (json.dumps(lost),)).get
        yield Fault("vectors", f"{len(lost)} pictures have no sound vector of {model.name}", files)


def _misplaced(connection: apsw.Connection) -> list[tuple[int | None, int]]:
    """The root that should be a folder's, and the folder, where it has another."""
    rows = connection.execute("SELECT path, id FROM roots ORDER BY length(path) DESC")
    roots: list[Any] = rows.fetchall()
    found = []
    for path, folder, root in connection.execute("SELECT path, id, root FROM folders"):
        over = next((id for outer, id in roots if is_under(path, outer)), None)
        if over != root:
            found.append((over, folder))
    return found


def _mend_rows(connection: apsw.Connection) -> None:
    for root, folder in _misplaced(connection):
        if root is None:
            connection.execute("DELETE FROM files WHERE folder = ?", (folder,))
            connection.execute("DELETE FROM folders WHERE id = ?", (folder,))
        else:
            connection.execute("UPDATE folders SET root = ? WHERE id = ?", (root, folder))
    for statement in MENDED:
        connection.execute(statement)
    connection.execute(FORGET, (time.time(),))
