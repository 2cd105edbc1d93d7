"""The watched folders, and whether they are there. Absent is not deleted."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgq.errors import Refused
from imgqd.library import mounts
from imgqd.library.scan import root_of
from imgqd.store import Identity, Root

if TYPE_CHECKING:
    from imgqd.index import Index

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Glance:
    """What lies at a root's path."""

    identity: Identity
    is_empty: bool


class Roots:
    """The roots as the store remembers them, and what was last seen of each."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._denied: set[bytes] = set()
        self.scanning: set[bytes] = set()
        self._roots: dict[bytes, Root] = {}
        self._read()

    def paths(self) -> list[bytes]:
        return list(self._roots)

    def online(self) -> list[bytes]:
        return [path for path, root in self._roots.items() if root.state == "online"]

    def offline(self) -> list[bytes]:
        return [path for path, root in self._roots.items() if root.state == "offline"]

    def of(self, path: bytes) -> bytes | None:
        """The deepest root over a path."""
        return root_of(path, self.paths())

    def state(self, path: bytes) -> str:
        """The word of `imgq status` for a root."""
        root = self._roots.get(path)
        if path in self._denied:
            return "denied"
        if root is None or root.state == "offline":
            return "offline"
        return "scanning" if path in self.scanning else "watching"

    def add(self, path: bytes) -> None:
        """Raises Refused where there is no folder that can be read."""
        try:
            identity = _glance(path).identity
        except (OSError, ValueError) as error:
            raise Refused(
                f"{os.fsdecode(path)} cannot be watched: {_words(error)}",
                "give a folder you can read",
            ) from None
        with self._index.lock:
            self._index.store.add_root(path, identity)
            self._read()

    def remove(self, path: bytes) -> None:
        """What is under the root can be found no longer, unless another root holds it."""
        if path not in self._roots:
            raise Refused(f"{os.fsdecode(path)} is not watched", "`imgq roots` lists the folders")
        with self._index.lock:
            self._index.hide(self._index.store.remove_root(path, time.time()))
            self._read()

    def check(self, path: bytes, emptied: bool) -> bool:
        """Looks whether a root is there, and remembers it; `emptied` says that its last entry was seen
        to be deleted. Whether it is there."""
        root = self._roots.get(path)
        if root is None:
            return False
        self._denied.discard(path)
        try:
            seen = _glance(path)
        except OSError as error:
            if isinstance(error, PermissionError):
                self._denied.add(path)
            self._note(replace(root, state="offline"), _words(error))
            return False
        reason = _absence(root, seen, emptied)
        if reason:
            self._note(replace(root, state="offline"), reason)
        else:
            known = replace(root, state="online", identity=seen.identity)
            self._note(replace(known, had_entries=not seen.is_empty))
        return not reason

    def looks_changed(self, path: bytes) -> bool:
        """Whether another folder than the one remembered, or none, lies at a root's path."""
        root = self._roots.get(path)
        if root is None:
            return False
        try:
            status = os.stat(path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != (root.identity.device, root.identity.inode)

    def _note(self, now: Root, reason: str = "") -> None:
        """Remembers what a root is now; unless it was removed meanwhile."""
        with self._index.lock:
            before = self._roots.get(now.path)
            if before is None or before == now:
                return
            if before.state != now.state:
                words = f": {reason}" if reason else ""
                log.warning("%s is %s%s", os.fsdecode(now.path), now.state, words)
            self._index.store.set_root(
                now.path, state=now.state, identity=now.identity, had_entries=now.had_entries
            )
            self._read()

    def _read(self) -> None:
        self._roots = {root.path: root for root in self._index.store.roots() if not root.mount}


def _absence(root: Root, seen: _Glance, emptied: bool) -> str:
    """Why what is seen is not the root; empty where it is."""
    # The inode alone changes when a folder is made anew, the file system's name alone when a disk
    # is numbered anew; both together, when something else lies at its place.
    known, found = root.identity, seen.identity
    if found.fsid != known.fsid and found.inode != known.inode:
        return "another file system lies at its place"
    if seen.is_empty and root.had_entries and not emptied:
        return "it is empty, and nobody saw its pictures deleted"
    return ""


def _glance(path: bytes) -> _Glance:
    """Raises OSError where there is no folder that can be read."""
    status = os.stat(path)
    fsid = f"{os.statvfs(path).f_fsid:x}"
    identity = Identity(status.st_dev, status.st_ino, fsid, mounts.kind(path))
    with os.scandir(path) as entries:
        return _Glance(identity, next(entries, None) is None)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
