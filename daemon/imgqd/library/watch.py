"""Who tells that a folder changed: inotify through watchdog's reader, or watchdog's observer elsewhere.

Events are hints. On Linux each folder is watched by itself, just before the scan lists it: what changes
after the watch stands makes an event, what changed before is in the listing. So an excluded folder costs
no watch, and a folder that is filled while it is new loses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Protocol

from imgqd.library.dirty import Dirty


class Watch(Protocol):
    """A watcher as the lookout knows it. Once it has ended it is of no use any more. Every method may be
    called from any thread.

    heard: how many events have been handled, of whatever kind. overflows: how often the system lost some.
    probe_s: so many seconds lie between two probes. deaf_s: after so many without an event since a
    probe was made it is deaf.
    """

    heard: int
    overflows: int
    probe_s: float
    deaf_s: float

    def start(self) -> None:
        """Raises OSError or RuntimeError where nothing can be watched."""

    def add(self, folder: bytes, root: bytes) -> bool:
        """Watches a folder. True where it was watched before: what changed in it made an event."""

    def forget(self, folders: Collection[bytes]) -> None:
        """No longer watches folders and all that was under them."""

    def refused(self) -> Mapping[int, frozenset[bytes]]:
        """The folders that were added and are not watched, by the system's number of the error."""

    def probe(self) -> bool:
        """Makes an event of its own; whether there is one to wait for."""

    def tidy(self) -> None:
        """Gives watches back that nobody needs any more, some at a time."""

    def review(self) -> bool:
        """Holds the watches against those that the system has. Whether some were lost without a word,
        which are now known not to be watched."""

    def is_alive(self) -> bool:
        """Whether all its threads are."""

    def stop(self) -> None:
        """Gives back what it holds, whether or not it is alive."""


def open_watch(dirty: Dirty, folder: bytes) -> Watch:
    """The best watcher of this platform, not started; the folder is its own, for its probes."""
    if sys.platform == "linux":
        from imgqd.library.inotify import InotifyWatch

        return InotifyWatch(dirty, folder)
    from imgqd.library.observer import ObserverWatch

    return ObserverWatch(dirty, folder)
