"""Books what a pass over the library found: what has moved, what is gone, what is to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from imgqd.backlog import Backlog
from imgqd.embedder.jobs import Job
from imgqd.index import Index
from imgqd.library import reach
from imgqd.library.compare import Seen
from imgqd.library.walk import Library, Pass
from imgqd.records import Change, Gone, GoneFolder, Moved, Stamp


class Bookkeeper:
    """For any thread that walks. submit: takes what is to be read."""

    def __init__(
        self,
        library: Library,
        index: Index,
        backlog: Backlog,
        submit: Callable[[Job], None],
    ) -> None:
        self._library = library
        self._index = index
        self._backlog = backlog
        self._submit = submit

    def book(self, found: Pass) -> None:
        """One transaction for all of a pass, which is empty then.

        Moves come first, so that what moved is not taken for gone. What was gone at the look and has come
        back since has made an event, and is looked at again.
        """
        moved = {move.path: move for move in self._moves(found.seen)}
        changes: list[Change] = [*moved.values(), *map(GoneFolder, found.gone_folders)]
        changes += map(Gone, found.gone)
        committed = self._index.commit(changes) if changes else None
        self._backlog.tally.reused += len(moved)
        for path in found.gone_folders:
            self._backlog.looks_at(path)
        for path in committed.again if committed else ():
            self._library.dirty.mark(os.path.dirname(path))
        seen = (each for each in found.seen if each.path not in moved)
        for job in self._backlog.begin(seen, found.urgency):
            self._submit(job)
        found.clear()

    def _moves(self, seen: Sequence[Seen]) -> Iterator[Moved]:
        """New paths whose file is known, with an equal stamp, at a path where it is no longer: renaming a
        folder changes no stamp in it."""
        known: dict[Stamp, list[bytes]] = {}
        for path, row in self._index.store.by_inode({each.stamp.inode for each in seen}):
            if row.trusted and row.state != "pending":
                known.setdefault(row.stamp, []).append(path)
        for each in seen:
            sources = known.get(each.stamp, [])
            for source in sources:
                if source != each.path and not _is_same(source, each.stamp):
                    sources.remove(source)
                    yield Moved(source, each.path, each.stamp)
                    break


def _is_same(path: bytes, stamp: Stamp) -> bool:
    try:
        return Stamp.of(reach.status(path)) == stamp
    except OSError:
        return False
