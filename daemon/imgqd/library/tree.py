"""Paths, so kept that all that is under a folder is found without looking at the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator


class Tree:
    """A set of absolute paths. Not for two threads at once."""

    def __init__(self) -> None:
        self._paths: set[bytes] = set()
        # Of every folder on the way to a path: what is on the way to one below it.
        self._below: dict[bytes, set[bytes]] = {}

    def add(self, path: bytes) -> None:
        self._paths.add(path)
        above = os.path.dirname(path)
        while above != path and path not in self._below.setdefault(above, set()):
            self._below[above].add(path)
            path, above = above, os.path.dirname(above)

    def remove(self, path: bytes) -> None:
        """Of a path that is not there, nothing is removed."""
        self._paths.discard(path)
        while path not in self._paths and path not in self._below:
            above = os.path.dirname(path)
            if path not in self._below.get(above, ()):
                return
            self._below[above].remove(path)
            if self._below[above]:
                return
            del self._below[above]
            path = above

    def below(self, folder: bytes) -> frozenset[bytes]:
        """What lies directly in the folder: paths, and folders on the way to some."""
        return frozenset(self._below.get(folder, ()))

    def under(self, folder: bytes) -> Iterator[bytes]:
        """The paths that are the folder or lie in it; the tree stays as it is meanwhile."""
        left = [folder]
        while left:
            path = left.pop()
            left += self._below.get(path, ())
            if path in self._paths:
                yield path
