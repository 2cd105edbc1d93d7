"""An index made anew in place of one that is damaged, with all that can be had out of that."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import apsw

from imgq.errors import StoreDamaged
from imgqd.store.database import place
from imgqd.store.database.database import Database
from imgqd.store.database.faults import translated
from imgqd.store.database.opening import connect
from imgqd.store.records import Held, Renewed
from imgqd.store.repair import kept
from imgqd.store.repair.kept import Kept
from imgqd.store.repair.salvage import salvage
from imgqd.store.roots import Roots, put_roots, read_roots
from imgqd.store.vectors.embeddings import Embeddings
from imgqd.store.vectors.models import put_held

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Renewal(Roots, Embeddings):
    def renew(self) -> Renewed:
        """Sets the damaged index aside and goes on with a new one, which has the same roots, the
        same models, and every picture whose vector is surely its own; their files are to be found by
        a scan. The store stays usable meanwhile, for what it can still tell. Raises StoreFull where
        there is no space for another; nothing has changed then."""
        database = self._database
        with database.lock, database.source() as source:
            now, pictures = _build(database.path, [source], self._kept, self._held)
            # killed from here on, it is at the next start not the index that belongs here
            kept.write(database.path, now)
            aside = database.put_in_place()
            self._kept = now
            return Renewed(aside, len(now.roots), pictures)

    def _agree(self) -> None:
        """Has the roots beside the index be those in it. Raises StoreDamaged where they are another
        index's."""
        beside = kept.read(self._database.path)
        if beside and beside.roots and beside.origin != self._database.origin:
            raise StoreDamaged(
                f"the index {self._database.path} is not the one whose folders lie beside it"
            )
        with self._database.read() as connection:
            now = Kept(self._database.origin, tuple(read_roots(connection)))
        self._kept = beside
        if now != beside and not self._database.is_immutable:
            with self._changed() as connection:
                self._restore(connection)


def refuse_lost(path: Path) -> None:
    """Raises StoreDamaged where there is no database, or an empty one, and roots of it beside."""
    beside = kept.read(path)
    if beside and beside.roots and not place.size(path):
        raise StoreDamaged(f"the index {path} was deleted")


def rebuild(path: Path) -> Renewed:
    """Makes an index anew that is not open, in place of whatever lies there."""
    path = place.true_path(path)
    with translated(path):
        with ExitStack() as stack:
            now, pictures = _build(path, _sources(path, stack), kept.read(path), ())
        kept.write(path, now)
        return Renewed(place.put_in_place(path), len(now.roots), pictures)


def _sources(path: Path, stack: ExitStack) -> list[apsw.Connection]:
    """The database with its log, where there is one, and without: it may be another's."""
    sources = []
    if path.is_file():
        for immutable in [False, True] if place.size(place.log_of(path)) else [True]:
            with suppress(apsw.Error):
                source = connect(path, apsw.SQLITE_OPEN_READONLY, immutable=immutable)
                stack.callback(source.close)
                sources.append(source)
    return sources


def _build(
    path: Path, sources: Iterable[apsw.Connection], known: Kept | None, held: Iterable[Held]
) -> tuple[Kept, int]:
    """Builds the database that is to be put in place at `path`, with the roots that are known, else
    those of a source, and those models under their numbers. Returns the roots, and the number of
    pictures."""
    unfinished = place.unfinished(path)
    place.remove(unfinished)
    try:
        target = Database(unfinished)
        try:
            return _filled(target, sources, known, held)
        finally:
            target.close()
    except BaseException:
        place.remove(unfinished)
        raise


def _filled(
    target: Database, sources: Iterable[apsw.Connection], known: Kept | None, held: Iterable[Held]
) -> tuple[Kept, int]:
    with target.write() as connection:
        put_held(connection, held)
    roots = list(known.roots) if known else []
    for source in sources:
        salvage(source, target)
        if not roots:
            with suppress(apsw.Error, TypeError, ValueError):
                roots = read_roots(source)
    with target.write() as connection:
        put_roots(connection, roots)
        pictures = int(connection.execute("SELECT count(*) FROM pictures").get)
    target.shrink()
    return Kept(target.origin, tuple(roots)), pictures
