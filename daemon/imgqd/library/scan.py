"""What a folder holds now: the truth that events only hint at."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from imgqd.library.rules import Rules
from imgqd.records import Stamp

# Linux takes no longer path in one call; deeper files cannot be opened by it either.
LONGEST_PATH = 4095


@dataclass(frozen=True, slots=True)
class Look:
    """The regular files and the folders of one folder that no rule leaves out.

    `empty` says that it holds no entry at all, not even one that is left out.
    """

    files: dict[bytes, Stamp]
    folders: tuple[bytes, ...]
    empty: bool


def look(folder: bytes, root: bytes, rules: Rules, follow_symlinks: bool = False) -> Look:
    """Lists a folder. Raises OSError where it is gone or may not be read."""
    files: dict[bytes, Stamp] = {}
    folders: list[bytes] = []
    empty = True
    with os.scandir(folder) as entries:
        for entry in entries:
            empty = False
            if len(entry.path) > LONGEST_PATH or (entry.is_symlink() and not follow_symlinks):
                continue
            try:
                status = entry.stat(follow_symlinks=follow_symlinks)
            except OSError:
                # Gone between the listing and the look, or a link that leads nowhere.
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if not is_folder and not stat.S_ISREG(status.st_mode):
                continue
            if rules.leaves_out(root, folder, entry.name, is_folder):
                continue
            if not is_folder:
                files[entry.name] = Stamp.of(status)
            elif not (entry.is_symlink() and _loops(entry.path, status)):
                folders.append(entry.path)
    return Look(files, tuple(folders), empty)


def _loops(path: bytes, status: os.stat_result) -> bool:
    """Whether a followed link leads to a folder above itself."""
    above = os.path.dirname(path)
    while True:
        if os.path.samestat(os.stat(above), status):
            return True
        if above == os.path.dirname(above):
            return False
        above = os.path.dirname(above)


def under(path: bytes, folder: bytes) -> bool:
    """Whether the path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def root_of(path: bytes, roots: list[bytes]) -> bytes | None:
    """The deepest of the roots that holds the path."""
    return max((root for root in roots if under(path, root)), key=len, default=None)
