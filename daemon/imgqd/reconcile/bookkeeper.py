"""Books what a pass over the library found: what has moved, what is gone, what is to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from imgqd.embedder.jobs import Job
from imgqd.index import Index
from imgqd.library import reach
from imgqd.library.compare import Seen
from imgqd.library.walk import Library, Pass
from imgqd.reconcile.backlog import Backlog
from imgqd.records import Change, Gone, GoneFolder, Moved, Stamp

# Known files by device and inode.
Known = dict[tuple[int, int], list[tuple[bytes, Stamp]]]


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
        known = self._by_inode(found.seen)
        moved = {move.path: move for move in _moves(found.seen, known)}
        changes: list[Change] = [*moved.values(), *map(GoneFolder, found.gone_folders)]
        changes += map(Gone, found.gone)
        committed = self._index.commit(changes) if changes else None
        self._backlog.tally.reused += len(moved)
        for path in found.gone_folders:
            self._backlog.looks_at(path)
            self._library.empties.forget(path)
        for path in committed.again if committed else ():
            self._library.dirty.mark(os.path.dirname(path))
        self._have_read((each for each in found.seen if each.path not in moved), found, known)
        found.clear()

    def _have_read(self, seen: Iterable[Seen], found: Pass, known: Known) -> None:
        for job in self._backlog.begin(seen, found.urgency):
            self._submit(job)
            for path, stamp in known.get(_inode(job.stamp), ()):
                # A change through one link of a file makes no event for its others.
                if stamp != job.stamp and path != job.path:
                    self._library.dirty.mark(os.path.dirname(path))

    def _by_inode(self, seen: Sequence[Seen]) -> Known:
        known: Known = {}
        for path, row in self._index.store.by_inode({each.stamp.inode for each in seen}):
            if row.trusted and row.state != "pending":
                known.setdefault(_inode(row.stamp), []).append((path, row.stamp))
        return known


def _moves(seen: Iterable[Seen], known: Known) -> Iterator[Moved]:
    """New paths whose file is known, with an equal stamp, at a path where it is no longer: renaming a
    folder changes no stamp in it."""
    taken: set[bytes] = set()
    for each in seen:
        for source, stamp in known.get(_inode(each.stamp), ()):
            elsewhere = stamp == each.stamp and source != each.path and source not in taken
            if elsewhere and not _is_same(source, stamp):
                taken.add(source)
                yield Moved(source, each.path, each.stamp)
                break


def _inode(stamp: Stamp) -> tuple[int, int]:
    return stamp.device, stamp.inode


def _is_same(path: bytes, stamp: Stamp) -> bool:
    try:
        return Stamp.of(reach.status(path)) == stamp
    except OSError:
        return False
