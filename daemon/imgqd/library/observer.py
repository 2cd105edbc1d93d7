"""watchdog's observer of the platform: FSEvents on macOS."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Collection, Mapping

from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from imgqd.library.cookie import Cookie
from imgqd.library.dirty import Dirty
from imgqd.library.scan import under

log = logging.getLogger(__name__)

# What reading makes, our own among it.
_READING = ("opened", "closed_no_write")


class ObserverWatch(FileSystemEventHandler):
    """Watches each root with all that is under it; see `watch.Watch`."""

    # FSEvents tells of no mere opening, so that a probe has to touch its file.
    probe_s = 30.0
    deaf_s = 10.0

    def __init__(self, dirty: Dirty, folder: bytes) -> None:
        self._dirty = dirty
        # FSEvents calls a folder by its true name.
        self._cookie = Cookie(os.path.realpath(folder))
        self._observer = Observer()
        self._lock = threading.Lock()
        self._watches: dict[bytes, ObservedWatch] = {}
        # Never changed, but replaced: watchdog holds its lock while it tells of events, and takes it for
        # each folder that comes or goes, so that who is told must wait for no lock of ours.
        self._real: Mapping[bytes, bytes] = {}
        self._refused: dict[bytes, int] = {}
        self._has_failed = False
        self.heard = 0
        self.overflows = 0

    def start(self) -> None:
        self._cookie.make()
        self._observer.start()
        self._observer.schedule(self, os.fsdecode(self._cookie.folder))

    def is_alive(self) -> bool:
        threads = [self._observer, *self._observer.emitters.copy()]
        return all(thread.is_alive() for thread in threads)

    def add(self, folder: bytes, root: bytes) -> bool:
        with self._lock:
            if root in self._watches:
                return True
            self._refused.pop(root, None)
            try:
                path = os.fsdecode(root)
                self._real = {**self._real, root: os.path.realpath(root)}
                self._watches[root] = self._observer.schedule(self, path, recursive=True)
            except OSError as error:
                log.warning("%s cannot be watched: %s", path, error)
                self._refused[root] = error.errno or errno.EIO
            return False

    def forget(self, folders: Collection[bytes]) -> None:
        with self._lock:
            self._real = {each: real for each, real in self._real.items() if each not in folders}
            for folder in folders:
                self._refused.pop(folder, None)
            for watch in [self._watches.pop(each) for each in folders if each in self._watches]:
                self._observer.unschedule(watch)

    def refused(self) -> Mapping[int, frozenset[bytes]]:
        with self._lock:
            numbers = set(self._refused.values())
            return {
                number: frozenset(root for root, why in self._refused.items() if why == number)
                for number in numbers
            }

    def probe(self) -> bool:
        try:
            self._cookie.make()
            self._cookie.touch()
        except OSError:
            return False
        return True

    def tidy(self) -> None:
        """Nothing is left over."""

    def review(self) -> bool:
        """The system tells nobody what it watches."""
        return False

    def stop(self) -> None:
        self._observer.stop()
        self._observer.unschedule_all()
        if self._observer.is_alive():
            self._observer.join()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog for each event, in its own thread, which nothing that goes wrong in here
        may end."""
        self.heard += 1
        try:
            self._note(event)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                log.exception("an event could not be noted, everything is looked at: this is a bug")
            self._dirty.mark_everything()

    def _note(self, event: FileSystemEvent) -> None:
        source, target = os.fsencode(event.src_path), os.fsencode(event.dest_path)
        own = under(source, self._cookie.folder)
        if own or event.event_type in _READING:
            return
        left = event.event_type in ("deleted", "moved")
        for path in self._named(source):
            if event.is_directory and event.event_type == "modified":
                self._dirty.mark(path)
                continue
            closed = path if isinstance(event, FileClosedEvent) else None
            self._dirty.mark(os.path.dirname(path), closed=closed, emptied=left)
            if event.is_directory and not left:
                self._dirty.mark_deep(path)
        for path in self._named(target) if target else ():
            self._dirty.mark(os.path.dirname(path), closed=path)
            if event.is_directory:
                self._dirty.mark_deep(path)

    def _named(self, path: bytes) -> set[bytes]:
        """A path by the names of the roots: FSEvents tells true names, and a root may be a link."""
        roots = [(root, real) for root, real in self._real.items() if under(path, real)]
        rests = [(root, path[len(real.rstrip(b"/")) :]) for root, real in roots]
        return {root.rstrip(b"/") + rest or b"/" for root, rest in rests} or {path}
