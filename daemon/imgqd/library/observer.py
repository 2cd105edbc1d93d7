"""watchdog's observer of the platform: FSEvents on macOS."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection

from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from imgqd.library.dirty import Dirty

log = logging.getLogger(__name__)

# What reading makes, our own among it.
_READING = ("opened", "closed_no_write")


class ObserverWatch(FileSystemEventHandler):
    """Watches each root with all that is under it."""

    def __init__(self, dirty: Dirty) -> None:
        self._dirty = dirty
        self._observer = Observer()
        self._watches: dict[bytes, ObservedWatch] = {}
        self.overflows = 0
        self.limited = False

    def start(self) -> None:
        self._observer.start()

    def is_alive(self) -> bool:
        return bool(self._observer.is_alive())

    def add(self, folder: bytes, root: bytes) -> bool:
        if root in self._watches:
            return True
        try:
            self._watches[root] = self._observer.schedule(self, os.fsdecode(root), recursive=True)
        except OSError as error:
            log.warning("%s cannot be watched: %s", os.fsdecode(root), error)
        return False

    def forget(self, folders: Collection[bytes]) -> None:
        for watch in [self._watches.pop(each) for each in folders if each in self._watches]:
            self._observer.unschedule(watch)

    def stop(self) -> None:
        self._observer.stop()
        self._observer.join()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog for each event, in its own thread."""
        if event.event_type in _READING:
            return
        source, target = os.fsencode(event.src_path), os.fsencode(event.dest_path)
        if event.is_directory and event.event_type == "modified":
            self._dirty.mark(source)
            return
        left = event.event_type in ("deleted", "moved")
        closed = source if isinstance(event, FileClosedEvent) else None
        self._dirty.mark(os.path.dirname(source), closed=closed, emptied=left)
        if target:
            self._dirty.mark(os.path.dirname(target), closed=target)
        if event.is_directory and event.event_type != "deleted":
            self._dirty.mark_deep(target or source)
