"""inotify, a watch a folder, through the reader that watchdog is built on.

Of watchdog only the reader is used: its walk of new folders loses files, and its pairing of moves keeps
events back for half a second.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from watchdog.observers.inotify_c import InotifyConstants as In
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD, Mask

from imgqd.library.dirty import Dirty

log = logging.getLogger(__name__)

# Without IN_MODIFY and IN_OPEN: a writer says when it is done, and our own reading makes no event.
_MASK = Mask(
    In.IN_CREATE
    | In.IN_CLOSE_WRITE
    | In.IN_MOVED_FROM
    | In.IN_MOVED_TO
    | In.IN_DELETE
    | In.IN_DELETE_SELF
    | In.IN_MOVE_SELF
    | In.IN_ONLYDIR
    | In.IN_EXCL_UNLINK
)


Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Watched:
    """What the kernel watches: its number for it, and the (device, inode) it is, whatever its name."""

    number: int
    inode: Inode


class InotifyWatch:
    """inotify, a watch a folder; needs neither watchdog's walk nor its pairing of moves.

    The kernel watches inodes, not names: a name that leads to another folder by now is not watched,
    and one folder may have several names (a bind mount, a link that is followed).
    """

    def __init__(self, dirty: Dirty) -> None:
        self._dirty = dirty
        self._reader: InotifyFD | None = None
        self._lock = threading.Lock()
        self._by_path: dict[bytes, _Watched] = {}
        self._by_inode: dict[Inode, _Watched] = {}
        self._names: dict[int, set[bytes]] = {}
        self.overflows = 0
        self.limited = False

    def start(self) -> None:
        """Where there is no instance to be had (max_user_instances), imgq goes on by scanning."""
        try:
            self._reader = InotifyFD()
            self._reader.start()
        except OSError as error:
            log.warning("no folder can be watched, scanning only: %s", error)
            self.limited = True

    def is_alive(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def add(self, folder: bytes, root: bytes) -> bool:
        if self._reader is None:
            return False
        try:
            status = os.stat(folder)
        except OSError:
            return False
        inode = (status.st_dev, status.st_ino)
        with self._lock:
            known = self._by_path.get(folder)
            if known is not None and known.inode == inode:
                return True
            if known is not None:
                self._let_go([folder])
            watched = self._by_inode.get(inode) or self._watched(folder, inode)
            if watched is not None:
                self._by_path[folder] = self._by_inode[inode] = watched
                self._names.setdefault(watched.number, set()).add(folder)
        return False

    def forget(self, folders: Collection[bytes]) -> None:
        gone = frozenset(folders)
        with self._lock:
            self._let_go([path for path in self._by_path if _is_in(path, gone)])

    def stop(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()

    def on_event(self, event: InotifyEvent) -> None:
        """Called by the reader's thread: marks, and nothing else."""
        with self._lock:
            folders = tuple(self._names.get(event.wd, ()))
        for folder in folders:
            self._note(folder, event)

    def on_watch_deleted(self, wd: int) -> None:
        with self._lock:
            folders = self._names.pop(wd, set())
            for folder in folders:
                self._by_inode.pop(self._by_path.pop(folder).inode, None)
        for folder in folders:
            # What took its name meanwhile is not watched.
            self._dirty.mark(folder)

    def on_queue_overflow(self) -> None:
        self.overflows += 1
        self._dirty.mark_everything()

    def _note(self, folder: bytes, event: InotifyEvent) -> None:
        if event.is_move_self:
            # Under which name it lies now, and the folders in it, the next look finds out.
            self.forget([folder])
        whole = event.is_close_write or event.is_moved_to
        closed = os.path.join(folder, event.name) if whole else None
        self._dirty.mark(folder, closed=closed, emptied=event.is_delete or event.is_moved_from)
        if not event.name:
            self._dirty.mark(os.path.dirname(folder))

    def _watched(self, folder: bytes, inode: Inode) -> _Watched | None:
        """Has the kernel watch a folder; None where it does not."""
        assert self._reader is not None
        try:
            number = self._reader.add_callback(folder, _MASK, self, id(self))  # type: ignore[arg-type]
        except OSError as error:
            self._refused(folder, error)
            return None
        if number < 0:
            # watchdog takes "permission denied" for a watch of this number.
            self._reader.remove_callbacks([(number, id(self))])  # type: ignore[list-item]
            return None
        if number in self._names:
            # Another folder took the name since it was looked at: the next look sorts it out.
            return None
        return _Watched(number, inode)

    def _let_go(self, folders: Iterable[bytes]) -> None:
        """Takes names away, and the watches that have none left; under the lock."""
        nameless: list[int] = []
        for folder in folders:
            watched = self._by_path.pop(folder)
            names = self._names[watched.number]
            names.discard(folder)
            if not names:
                del self._names[watched.number], self._by_inode[watched.inode]
                nameless.append(watched.number)
        if self._reader is not None:
            self._reader.remove_callbacks([(number, id(self)) for number in nameless])  # type: ignore[misc]

    def _refused(self, folder: bytes, error: OSError) -> None:
        if error.errno == errno.ENOSPC and not self.limited:
            self.limited = True
            log.warning("the limit of watched folders is reached at %s", os.fsdecode(folder))


def _is_in(path: bytes, folders: Collection[bytes]) -> bool:
    """Whether the path is one of the folders or lies in one."""
    while path not in folders:
        if len(path) <= 1:
            return False
        path = os.path.dirname(path)
    return True
