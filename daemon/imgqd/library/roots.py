"""The watched folders, and whether they are there. Absent is not deleted.

A file system that is mounted below a root is kept like a root of its own, under it: what lies on a disk
is not gone when the disk is.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from imgq import wire
from imgq.errors import Refused
from imgqd.health.journal import NEWS
from imgqd.library import mounts, reach
from imgqd.library.recognition import Recognition, glance
from imgqd.library.scan import leads_elsewhere, root_of
from imgqd.store import Identity, Root

if TYPE_CHECKING:
    from imgqd.index import Index

log = logging.getLogger(__name__)


class Roots:
    """The roots as the store remembers them, and what was last seen of each."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._denied: set[bytes] = set()
        self._reasons: dict[bytes, str] = {}
        self._recognition = Recognition(index)
        self.scanning: set[bytes] = set()
        self._roots: dict[bytes, Root] = {}
        self.read()

    def paths(self) -> list[bytes]:
        """Every root, and every mount below one."""
        return list(self._roots)

    def named(self) -> list[bytes]:
        """The roots that a person gave."""
        return [path for path, root in self._roots.items() if not root.mount]

    def online(self) -> list[bytes]:
        return [path for path, root in self._roots.items() if root.state == "online"]

    def offline(self) -> list[bytes]:
        return [path for path, root in self._roots.items() if root.state == "offline"]

    def of(self, path: bytes) -> bytes | None:
        """The deepest root, or mount, over a path."""
        return root_of(path, self.paths())

    def parts(self, path: bytes) -> list[bytes]:
        """A root that a person gave, and the mounts that are shown as part of it."""
        named = self.named()
        return [each for each in self._roots if root_of(each, named) == path]

    def kind(self, path: bytes) -> str:
        """The type of a root's file system, as it was last seen; nothing is touched."""
        root = self._roots.get(path)
        return root.identity.kind if root else ""

    def is_remote(self, path: bytes) -> bool:
        """Whether the path lies on a file system that tells of no changes, and may not answer."""
        root = self.of(path)
        return root is not None and mounts.is_remote(self.kind(root))

    def is_away(self, path: bytes) -> bool:
        """Whether the path lies on a root that is offline; nothing is touched."""
        root = self.of(path)
        return root is not None and root in self.offline()

    def leads_elsewhere(self, path: bytes) -> bool:
        """Whether a folder above the path, below its root, is a link: then no file of the root is there."""
        root = self.of(path)
        return root is not None and leads_elsewhere(root, os.path.dirname(path))

    def state(self, path: bytes) -> str:
        """The word of `imgq status` for a root."""
        root = self._roots.get(path)
        if path in self._denied:
            return "denied"
        if root is None or root.state == "offline":
            return "offline"
        return "scanning" if path in self.scanning else "watching"

    def reason(self, path: bytes) -> str:
        """Why a root is offline, in words."""
        return self._reasons.get(path, "it is not there")

    def add(self, path: bytes) -> None:
        """Raises Refused where there is no folder that can be read, or none that holds files of anybody, or
        so many are watched that `imgq status` could not tell of another."""
        if len(named := self.named()) >= wire.MOST_ROOTS and path not in named:
            raise Refused(
                f"{len(named)} folders are watched, and no more can be",
                "watch the folder that they are in, and leave out with `exclude` what is not meant",
            )
        identity = self._identity(path)
        with self._index.lock:
            self._index.store.add_root(path, identity)
            self.read()

    def add_mount(self, path: bytes) -> bool:
        """Keeps what is mounted below a root as a root of its own. Whether it is to be looked at."""
        try:
            identity = glance(path).identity
        except OSError as error:
            log.warning("%s cannot be read: %s", os.fsdecode(path), error.strerror)
            return False
        if mounts.is_pseudo(identity.kind):
            return False
        with self._index.lock:
            self._index.store.add_root(path, identity, mount=True)
            self.read()
        return True

    def remove(self, path: bytes) -> None:
        """What is under the root can be found no longer, unless another root holds it."""
        if path not in self.named():
            raise Refused(f"{os.fsdecode(path)} is not watched", "`imgq roots` lists the folders")
        with self._index.lock:
            self._index.hide(self._index.store.remove_root(path, time.time()))
            self.read()

    def adopt(self, path: bytes) -> None:
        """What lies at a root's path now is the root, whatever is remembered of it: a person says so.
        Raises Refused where no root is, or nothing."""
        root = self._roots.get(path)
        if root is None:
            raise Refused(f"{os.fsdecode(path)} is not watched", "`imgq roots` lists the folders")
        if root.mount and not mounts.is_mounted(path):
            with self._index.lock:
                self._index.hide(self._index.store.remove_root(path, time.time()))
                self.read()
            return
        identity = self._identity(path)
        self._note(replace(root, state="online", identity=identity, had_entries=False))

    def check(self, path: bytes, emptied: bool) -> bool:
        """Looks whether a root is there, and remembers it; `emptied` says that its last entry was seen
        to be deleted. Whether it is there."""
        root = self._roots.get(path)
        if root is None:
            return False
        self._denied.discard(path)
        try:
            seen = glance(path)
        except OSError as error:
            if isinstance(error, PermissionError):
                self._denied.add(path)
            self._note(replace(root, state="offline"), _words(error), before=root)
            return False
        reason = self._recognition.absence(root, seen, emptied)
        if reason:
            self._note(replace(root, state="offline"), reason, before=root)
        else:
            known = replace(root, state="online", identity=seen.identity)
            self._note(replace(known, had_entries=not seen.is_empty), before=root)
        return not reason

    def silence(self, path: bytes) -> None:
        """The root's file system does not answer."""
        root = self._roots.get(path)
        if root is not None:
            self._note(replace(root, state="offline"), "its file system does not answer")

    def looks_changed(self, path: bytes) -> bool:
        """Whether another folder than the one remembered, or none, lies at a root's path."""
        root = self._roots.get(path)
        if root is None:
            return False
        try:
            status = reach.status(path, follow=True)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != (root.identity.device, root.identity.inode)

    def read(self) -> None:
        """Takes the roots from the store."""
        self._roots = {root.path: root for root in self._index.store.roots()}

    def _identity(self, path: bytes) -> Identity:
        try:
            identity = glance(path).identity
        except (OSError, ValueError) as error:
            raise Refused(
                f"{os.fsdecode(path)} cannot be watched: {_words(error)}",
                "give a folder you can read",
            ) from None
        if mounts.is_pseudo(identity.kind):
            raise Refused(
                f"{os.fsdecode(path)} cannot be watched: {identity.kind} holds no pictures",
                "give a folder of files",
            )
        return identity

    def _note(self, now: Root, reason: str = "", before: Root | None = None) -> None:
        """Remembers what a root is now; unless it was removed meanwhile, or a person has said what it is
        since it was as `before`."""
        with self._index.lock:
            known = self._roots.get(now.path)
            if known is None or (before is not None and before != known):
                return
            self._reasons[now.path] = reason
            if known == now:
                return
            if known.state != now.state:
                words = f": {reason}" if reason else ""
                log.warning("%s is %s%s", os.fsdecode(now.path), now.state, words, extra=NEWS)
            self._index.store.set_root(
                now.path, state=now.state, identity=now.identity, had_entries=now.had_entries
            )
            self.read()


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
