"""The watched folders, and whether they are there. Absent is not deleted."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from imgq.errors import Refused
from imgqd.library.scan import root_of
from imgqd.store import Identity, Root

if TYPE_CHECKING:
    from imgqd.index import Index

log = logging.getLogger(__name__)


class Roots:
    """The roots as the store remembers them, and what was last seen of each."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
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
        if path in self._denied:
            return "denied"
        if self._roots[path].state == "offline":
            return "offline"
        return "scanning" if path in self.scanning else "watching"

    def add(self, path: bytes) -> None:
        """Raises Refused where there is no folder that can be read."""
        try:
            identity = _identity(path)
            os.scandir(path).close()
        except OSError as error:
            raise Refused(
                f"{os.fsdecode(path)} cannot be watched: {error.strerror}",
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
        reason = self._absence(root, emptied)
        state = "offline" if reason else "online"
        if state != root.state:
            log.warning("%s is %s%s", os.fsdecode(path), state, reason and f": {reason}")
        self._remember(root, state == "online")
        return state == "online"

    def _absence(self, root: Root, emptied: bool) -> str:
        """Why the root is not there; empty where it is."""
        self._denied.discard(root.path)
        try:
            identity = _identity(root.path)
            with os.scandir(root.path) as entries:
                is_empty = next(entries, None) is None
        except PermissionError:
            self._denied.add(root.path)
            return "it may not be read"
        except OSError as error:
            return error.strerror or str(error)
        # The inode alone changes when a folder is made anew, the file system's name alone when a disk
        # is numbered anew; both together, when something else lies at its place.
        if identity.fsid != root.identity.fsid and identity.inode != root.identity.inode:
            return "another file system lies at its place"
        if is_empty and root.had_entries and not emptied:
            return "it is empty, and nobody saw its pictures deleted"
        return ""

    def _remember(self, root: Root, there: bool) -> None:
        with self._index.lock:
            if there:
                with os.scandir(root.path) as entries:
                    had = next(entries, None) is not None
                known = Root(root.path, _identity(root.path), "online", had, root.mount)
            else:
                known = Root(root.path, root.identity, "offline", root.had_entries, root.mount)
            if known != root:
                self._index.store.set_root(
                    root.path,
                    state=known.state,
                    identity=known.identity,
                    had_entries=known.had_entries,
                )
                self._read()

    def _read(self) -> None:
        with self._lock:
            self._roots = {root.path: root for root in self._index.store.roots() if not root.mount}


def _identity(path: bytes) -> Identity:
    status = os.stat(path)
    return Identity(status.st_dev, status.st_ino, f"{os.statvfs(path).f_fsid:x}")
