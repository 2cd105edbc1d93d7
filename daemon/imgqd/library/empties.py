"""Files that hold nothing and have no picture's name. There is nothing to know of one but that it is there:
they have no rows, and are counted by folder, which may hold a million."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection

from imgqd.library.tree import Tree


class Empties:
    """As many as were there when each folder was last looked at; for all threads that look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[bytes, int] = {}
        self._tree = Tree()
        self.total = 0

    def look(self, folder: bytes, count: int, below: Collection[bytes]) -> None:
        """So many lie in a folder, which holds the folders of these names and no others."""
        with self._lock:
            self._put(folder, count)
            gone = {os.path.basename(path) for path in self._tree.below(folder)}
            for name in gone.difference(below) if gone else ():
                self._forget(os.path.join(folder, name))

    def holds(self, folder: bytes) -> bool:
        """Whether there are any directly in the folder."""
        return folder in self._counts

    def forget(self, folder: bytes) -> None:
        """The folder is no more, nor is what was under it."""
        with self._lock:
            self._forget(folder)

    def _forget(self, folder: bytes) -> None:
        for path in [*self._tree.under(folder)]:
            self._put(path, 0)

    def _put(self, folder: bytes, count: int) -> None:
        before = self._counts.pop(folder, 0)
        self.total += count - before
        if count:
            self._counts[folder] = count
        if count and not before:
            self._tree.add(folder)
        elif before and not count:
            self._tree.remove(folder)
