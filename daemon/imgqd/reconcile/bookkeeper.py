"""Books what a pass over the library found: what has moved, what is gone, what is to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from imgqd.embedder.jobs import Job
from imgqd.index import Index
from imgqd.library import reach
from imgqd.library.compare import Seen
from imgqd.library.walk import Library, Pass
from imgqd.reconcile.backlog import Backlog
from imgqd.records import Change, Gone, GoneFolder, Moved, Stamp
from imgqd.store import Row

# Known files by device and inode.
Known = dict[tuple[int, int], list[tuple[bytes, Row]]]


@dataclass(frozen=True, slots=True)
class _Move:
    """A file that is known by a path where it is no longer."""

    source: bytes
    seen: Seen
    row: Row

    @property
    def is_whole(self) -> bool:
        """Whether all is known of the file: renaming a folder changes no stamp in it, but renaming a file
        does, and whether its bytes are the same is told by reading them."""
        is_done = self.row.trusted and self.row.state != "pending"
        return is_done and self.row.stamp == self.seen.stamp


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
        moves = {move.seen.path: move for move in self._moves(found.seen, known)}
        changes: list[Change] = [
            Moved(move.source, path, move.row.stamp) for path, move in moves.items()
        ]
        changes += map(GoneFolder, found.gone_folders)
        changes += map(Gone, found.gone)
        committed = self._index.commit(changes) if changes else None
        self._backlog.tally.reused += sum(move.is_whole for move in moves.values())
        for path in found.gone_folders:
            self._backlog.looks_at(path)
            self._library.empties.forget(path)
        for path in committed.again if committed else ():
            self._library.dirty.mark(os.path.dirname(path))
        self._have_read(list(_unread(found.seen, moves)), found, known)
        found.clear()

    def _have_read(self, seen: Sequence[Seen], found: Pass, known: Known) -> None:
        for job in self._backlog.begin(seen, found.urgency):
            self._submit(job)
            for path, row in known.get(_inode(job.stamp), ()):
                # A change through one link of a file makes no event for its others.
                if row.stamp != job.stamp and path != job.path:
                    self._library.dirty.mark(os.path.dirname(path))

    def _by_inode(self, seen: Sequence[Seen]) -> Known:
        known: Known = {}
        for path, row in self._index.store.by_inode({each.stamp.inode for each in seen}):
            known.setdefault(_inode(row.stamp), []).append((path, row))
        return known

    def _moves(self, seen: Iterable[Seen], known: Known) -> Iterator[_Move]:
        """New paths whose file is known at a path where it is no longer, and nobody has written to it
        since."""
        taken: set[bytes] = set()
        for each in seen:
            rows = known.get(_inode(each.stamp), [])
            # A file that is known by this path, too, was there before the other link of it went.
            sources = () if any(path == each.path for path, _ in rows) else rows
            for source, row in sources:
                unwritten = source not in taken and _is_unwritten(row.stamp, each.stamp)
                if unwritten and self._has_left(source, row):
                    taken.add(source)
                    yield _Move(source, each, row)
                    break

    def _has_left(self, source: bytes, row: Row) -> bool:
        """What cannot be looked at, or is away with its disk, has not: another disk may have the inode."""
        roots = self._library.roots
        if roots.of(source) in roots.offline():
            return False
        try:
            status = reach.status(source, follow=self._library.follow_symlinks)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return (status.st_dev, status.st_ino) != _inode(row.stamp)


def _unread(seen: Iterable[Seen], moves: dict[bytes, _Move]) -> Iterator[Seen]:
    """What is to be read: what moved has its row by now."""
    for each in seen:
        move = moves.get(each.path)
        if move is None:
            yield each
        elif not move.is_whole:
            yield replace(each, state=move.row.state)


def _inode(stamp: Stamp) -> tuple[int, int]:
    return stamp.device, stamp.inode


def _is_unwritten(known: Stamp, seen: Stamp) -> bool:
    """Of one file. A newer one may have its inode by now."""
    return seen.size == known.size and seen.mtime_ns <= known.mtime_ns
