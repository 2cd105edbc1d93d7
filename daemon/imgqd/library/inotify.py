"""inotify, a watch a folder.

The kernel watches inodes, not names: a name that leads to another folder by now is not watched, and one
folder may have several names (a bind mount, a link that is followed). Nobody but the kernel knows what it
watches, so it is asked at each `add`, which costs what a look at the folder would.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from watchdog.observers.inotify_c import InotifyConstants as In
from watchdog.observers.inotify_c import InotifyEvent

from imgqd.library import reach
from imgqd.library.cookie import Cookie
from imgqd.library.dirty import Dirty
from imgqd.library.inotify_reader import InotifyReader
from imgqd.library.tree import Tree

log = logging.getLogger(__name__)

# Without IN_OPEN: our own reading makes no event. IN_MODIFY is for truncate(2), which closes nothing, and
# IN_ATTRIB for chmod(1), after which a file may be read.
_MASK = (
    In.IN_CREATE
    | In.IN_MODIFY
    | In.IN_ATTRIB
    | In.IN_CLOSE_WRITE
    | In.IN_MOVED_FROM
    | In.IN_MOVED_TO
    | In.IN_DELETE
    | In.IN_DELETE_SELF
    | In.IN_MOVE_SELF
    | In.IN_ONLYDIR
    | In.IN_EXCL_UNLINK
)
WRITTEN_S = 2.0
# The kernel tells of each watch that is given back, and has room for 16,384 words.
_MOST_AT_ONCE = 4096
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class InotifyWatch:
    """See `watch.Watch`."""

    # To open a file writes nothing and wakes no disk.
    probe_s = 0.0
    deaf_s = 4.0

    def __init__(self, dirty: Dirty, folder: bytes) -> None:
        self._dirty = dirty
        self._cookie = Cookie(folder)
        self._reader: InotifyReader | None = None
        self._lock = threading.Lock()
        self._numbers: dict[bytes, int] = {}
        self._names: dict[int, tuple[bytes, ...]] = {}
        # Watches of folders that are nowhere under a root by now, or have not been seen there yet.
        self._nameless: set[int] = set()
        self._refused: defaultdict[int, set[bytes]] = defaultdict(set)
        self._tree = Tree()
        self._suspects: frozenset[int] = frozenset()
        self._has_failed = False
        self.heard = 0
        self.overflows = 0

    def start(self) -> None:
        reader = InotifyReader(self._hear)
        try:
            reader.start()
        except RuntimeError:
            reader.end()
            raise
        self._reader = reader

    def is_alive(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def add(self, folder: bytes, root: bytes) -> bool:
        with self._lock:
            if self._reader is None:
                return False
            known = self._numbers.get(folder)
            try:
                number = _watch(self._reader, folder)
            except OSError as error:
                self._refuse(folder, error)
                return False
            if number != known:
                self._let_go([folder])
                self._book(folder, number)
            return number == known

    def forget(self, folders: Collection[bytes]) -> None:
        with self._lock:
            for folder in folders:
                self._let_go([*self._tree.under(folder)])

    def refused(self) -> Mapping[int, frozenset[bytes]]:
        with self._lock:
            return {number: frozenset(paths) for number, paths in self._refused.items() if paths}

    def probe(self) -> bool:
        reader = self._reader
        if reader is None:
            return False
        try:
            self._watch_cookie(reader)
            self._cookie.open()
        except OSError:
            return False
        return True

    def tidy(self) -> None:
        with self._lock:
            most = min(len(self._nameless), _MOST_AT_ONCE)
            numbers = [self._nameless.pop() for _ in range(most)]
            if self._reader is not None:
                self._reader.unwatch(numbers)

    def review(self) -> bool:
        """The kernel's word that a watch has ended may still be under way: what is missing twice, with
        events heard in between, is lost."""
        with self._lock:
            reader, believed = self._reader, frozenset(self._names)
        missing = believed - reader.numbers() if reader is not None else frozenset()
        lost, self._suspects = self._suspects & missing, missing
        for number in lost:
            self._ended(number)
        return bool(lost)

    def stop(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.end()

    def _watch_cookie(self, reader: InotifyReader) -> None:
        """Asked each time: whoever cleans up there does no harm."""
        try:
            reader.watch(self._cookie.path, In.IN_OPEN)
        except FileNotFoundError:
            self._cookie.make()
            reader.watch(self._cookie.path, In.IN_OPEN)

    def _hear(self, event: InotifyEvent) -> None:
        """Called by the reader's thread. Nothing that goes wrong in here may end it."""
        self.heard += 1
        try:
            self._note(event)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                log.exception("an event could not be noted, everything is looked at: this is a bug")
            self._dirty.mark_everything()

    def _note(self, event: InotifyEvent) -> None:
        """Marks, and nothing else."""
        if event.is_queue_overflow:
            self.overflows += 1
            self._dirty.mark_everything()
        elif event.is_ignored:
            self._ended(event.wd)
        else:
            with self._lock:
                folders = self._names.get(event.wd, ())
            for folder in folders:
                self._mark(folder, event)

    def _ended(self, number: int) -> None:
        """The kernel watches this no longer, nor what took its name meanwhile."""
        with self._lock:
            folders = self._names.pop(number, ())
            self._nameless.discard(number)
            for folder in folders:
                del self._numbers[folder]
                self._tree.remove(folder)
        for folder in folders:
            self._dirty.mark(folder)

    def _mark(self, folder: bytes, event: InotifyEvent) -> None:
        if event.is_move_self:
            # Under which name it lies now, and the folders in it, the next look finds out.
            self.forget([folder])
        if event.is_modify or event.is_attrib:
            # Whoever writes says mostly when it is done; until then there is no hurry. Whoever unpacks or
            # copies sets times and modes last.
            self._dirty.mark_later(folder, WRITTEN_S, counts=False)
            return
        whole = event.is_close_write or event.is_moved_to
        closed = os.path.join(folder, event.name) if whole else None
        self._dirty.mark(folder, closed=closed, emptied=event.is_delete or event.is_moved_from)
        if not event.name:
            self._dirty.mark(os.path.dirname(folder))

    def _book(self, folder: bytes, number: int) -> None:
        self._numbers[folder] = number
        self._nameless.discard(number)
        self._names[number] = (*self._names.get(number, ()), folder)
        self._tree.add(folder)

    def _let_go(self, folders: Iterable[bytes]) -> None:
        """Takes names away; under the lock."""
        for folder in folders:
            self._tree.remove(folder)
            for paths in self._refused.values():
                paths.discard(folder)
            number = self._numbers.pop(folder, None)
            if number is None:
                continue
            self._names[number] = tuple(name for name in self._names[number] if name != folder)
            if not self._names[number]:
                del self._names[number]
                self._nameless.add(number)

    def _refuse(self, folder: bytes, error: OSError) -> None:
        number = error.errno or 0
        is_news = not self._refused[number]
        self._let_go([folder])
        if number in _NOT_THERE:
            return
        if is_news and number != errno.EACCES:
            # Of one that may not be read, whoever tries to list it tells.
            log.warning("%s cannot be watched: %s", os.fsdecode(folder), _words(number))
        self._refused[number].add(folder)
        self._tree.add(folder)


def _words(number: int) -> str:
    return "the limit is reached" if number == errno.ENOSPC else os.strerror(number)


def _watch(reader: InotifyReader, folder: bytes) -> int:
    """The number of the kernel's watch of a folder, which is new or was there. Raises OSError."""
    if len(folder) <= reach.LONGEST:
        return reader.watch(folder, _MASK)
    descriptor = reach.opened(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        return reader.watch(b"/proc/self/fd/%d" % descriptor, _MASK)
    finally:
        os.close(descriptor)
