"""Whether what lies at a root's place is the root.

A root is known by the identity of its file system and by its own inode. Where a file system has no identity
but the number of its device, which changes with the socket that a disk is put into, it is known by what it
holds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgqd.library import mounts, reach
from imgqd.store import Identity, Root

if TYPE_CHECKING:
    from imgqd.index import Index

# So many known files are looked for on a disk that does not say which one it is.
SAMPLE = 32


@dataclass(frozen=True, slots=True)
class Glance:
    """What lies at a root's path."""

    identity: Identity
    is_empty: bool


def glance(path: bytes) -> Glance:
    """Raises OSError where there is no folder that can be read."""
    with reach.folder(path) as descriptor, os.scandir(descriptor) as entries:
        status = os.fstat(descriptor)
        fsid = f"{os.fstatvfs(descriptor).f_fsid:x}"
        identity = Identity(status.st_dev, status.st_ino, fsid, mounts.kind(path))
        return Glance(identity, next(entries, None) is None)


class Recognition:
    """Remembers which disk was taken for another, so that it is not asked again and again."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._others: dict[bytes, Identity] = {}

    def absence(self, root: Root, seen: Glance, emptied: bool) -> str:
        """Why what is seen is not the root; empty where it is."""
        known, found = root.identity, seen.identity
        if root.mount and found.inode != known.inode:
            return "nothing is mounted there, or something else"
        if found.fsid != known.fsid and not self._is_numbered_anew(root, found):
            return "another file system lies at its place"
        if seen.is_empty and root.had_entries and not emptied:
            return "it is empty, and nobody saw its pictures deleted"
        return ""

    def _is_numbered_anew(self, root: Root, found: Identity) -> bool:
        """Whether it is the same disk under another device number, for all that can be told."""
        kinds = {root.identity.kind, found.kind} - {""}
        if len(kinds) > 1 or any(map(mounts.is_named, kinds)):
            return False
        if self._others.get(root.path) == found:
            return False
        known = self._index.store.sample(root.path, SAMPLE)
        alike = sum(_is_alike(path, row.stamp.size, row.stamp.mtime_ns) for path, row in known)
        if 2 * alike >= len(known):
            return True
        self._others[root.path] = found
        return False


def _is_alike(path: bytes, size: int, mtime_ns: int) -> bool:
    try:
        status = reach.status(path, follow=True)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)
