"""What a folder holds now: the truth that events only hint at."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
        found = _entries(folder, names, descriptor, follow_symlinks)
        yield (
            (name, status)
            for name, status in found
            if isinstance(status, OSError)
            or not rules.looks_at(is_folder := stat.S_ISDIR(status.st_mode))
            or not rules.leaves_out(root, folder, name, is_folder)
        )


def _names(folder: int) -> list[bytes]:
    """As os.fsencode has them, in half of its time."""
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return [name.encode(encoding, errors) for name in os.listdir(folder)]


def _entries(folder: bytes, names: Sequence[bytes], above: int, follow: bool) -> Iterator[Named]:
    for name in names:
        try:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            # Gone between the listing and the look.
            continue
        except OSError as error:
            yield name, error
            continue
        if stat.S_ISLNK(status.st_mode) and follow:
            try:
                status = os.stat(name, dir_fd=above)
                if stat.S_ISDIR(status.st_mode) and _loops(folder, status):
                    continue
            except OSError:
                # It leads nowhere.
                continue
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            yield name, status


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
