"""Who tells that a folder changed: inotify through watchdog's reader, or watchdog's observer elsewhere.

Events are hints. On Linux each folder is watched by itself, just before the scan lists it: what changes
after the watch stands makes an event, what changed before is in the listing. So an excluded folder costs
no watch, and a folder that is filled while it is new loses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Protocol

from imgqd.library.dirty import Dirty


class Watch(Protocol):
    """What the reconciler asks of a watcher. Every method may be called from any thread.

    overflows: how often the system lost events. limited: it watches less than it was told to.
    """

    overflows: int
    limited: bool

    def start(self) -> None: ...
    def add(self, folder: bytes, root: bytes) -> bool:
        """Watches a folder. True where it was watched before: what changed in it made an event."""

    def forget(self, folders: Collection[bytes]) -> None:
        """No longer watches folders and all that was under them."""

    def is_alive(self) -> bool: ...
    def stop(self) -> None: ...


def open_watch(dirty: Dirty) -> Watch:
    """The best watcher of this platform, not started."""
    if sys.platform == "linux":
        from imgqd.library.inotify import InotifyWatch

        return InotifyWatch(dirty)
    from imgqd.library.observer import ObserverWatch

    return ObserverWatch(dirty)
