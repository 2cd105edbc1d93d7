"""What a folder holds now: the truth that events only hint at."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imgqd.library import reach
from imgqd.library.rules import Rules

# A regular file or a folder: its name, and what `stat` says of it.
Entry = tuple[bytes, os.stat_result]
# Whatever has that name; where nothing can be said of it, why: a failing disk, a folder that may be listed
# and not entered.
Named = tuple[bytes, os.stat_result | OSError]


@contextmanager
def look(
    folder: bytes, root: bytes, rules: Rules, follow_symlinks: bool = False
) -> Iterator[Iterator[Named]]:
    """Lists the regular files and the folders of a folder that no rule leaves out, and what may be one, in
    the order of their names as bytes, one at a time: a folder may hold a million. Raises OSError where it
    is gone or may not be read."""
    with reach.folder(folder, follow=folder == root or follow_symlinks) as descriptor:
        names = rules.counted(sorted(_names(descriptor)))
        yield _Look(folder, root, rules, follow_symlinks, descriptor).entries(names)


def _names(folder: int) -> list[bytes]:
    """As os.fsencode has them, in half of its time."""
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return [name.encode(encoding, errors) for name in os.listdir(folder)]


@dataclass(frozen=True, slots=True)
class _Look:
    """descriptor: of the folder."""

    folder: bytes
    root: bytes
    rules: Rules
    follow: bool
    descriptor: int

    def entries(self, names: Iterable[bytes]) -> Iterator[Named]:
        above, follow, looks_at_files = self.descriptor, self.follow, self.rules.looks_at_files
        for name in names:
            try:
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                # Gone between the listing and the look.
                continue
            except OSError as error:
                yield name, error
                continue
            # Most are files, and of a million each step counts.
            if stat.S_ISREG(status.st_mode) and not looks_at_files:
                yield name, status
                continue
            known = self._followed(name, status) if follow else status
            if known is not None and self._counts(name, known):
                yield name, known

    def _followed(self, name: bytes, status: os.stat_result) -> os.stat_result | None:
        """What a link leads to; None where that is nowhere, or a folder above."""
        if not stat.S_ISLNK(status.st_mode):
            return status
        try:
            status = os.stat(name, dir_fd=self.descriptor)
            loops = stat.S_ISDIR(status.st_mode) and _loops(self.folder, status)
        except OSError:
            return None
        return None if loops else status

    def _counts(self, name: bytes, status: os.stat_result) -> bool:
        is_folder = stat.S_ISDIR(status.st_mode)
        if not (is_folder or stat.S_ISREG(status.st_mode)):
            return False
        may = is_folder or self.rules.looks_at_files
        return not (may and self.rules.leaves_out(self.root, self.folder, name, is_folder))


def _loops(folder: bytes, status: os.stat_result) -> bool:
    """Whether a followed link in the folder leads to that folder, or to one above it."""
    while not os.path.samestat(reach.status(folder, follow=True), status):
        if folder == os.path.dirname(folder):
            return False
        folder = os.path.dirname(folder)
    return True


def leads_elsewhere(root: bytes, folder: bytes) -> bool:
    """Whether the folder, or one above it below the root, is a link by now."""
    while folder != root:
        try:
            if stat.S_ISLNK(reach.status(folder).st_mode):
                return True
        except OSError:
            pass
        folder = os.path.dirname(folder)
    return False


def under(path: bytes, folder: bytes) -> bool:
    """Whether the path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def root_of(path: bytes, roots: list[bytes]) -> bytes | None:
    """The deepest of the roots that holds the path."""
    return max((root for root in roots if under(path, root)), key=len, default=None)
