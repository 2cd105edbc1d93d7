"""Files and folders by paths of any length: the system takes no more than 4,095 bytes in one call."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 4095
# A folder whose path is longer than this is not entered: no file in it could be told of.
LONGEST_FOLDER = 32_768
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
# A step on the way needs no right to read the folder, where the system tells one right from the other.
_STEP = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)


def opened(path: bytes, flags: int) -> int:
    """A descriptor, to be closed by the caller. Raises OSError as os.open does."""
    with _near(path) as (folder, rest):
        return os.open(rest, flags | os.O_CLOEXEC, dir_fd=folder)


def status(path: bytes, *, follow: bool = False) -> os.stat_result:
    """`follow`: what a link leads to. Raises OSError as os.stat does."""
    if len(path) <= LONGEST:
        return os.stat(path, follow_symlinks=follow)
    with _near(path) as (folder, rest):
        return os.stat(rest, dir_fd=folder, follow_symlinks=follow)


@contextmanager
def folder(path: bytes, *, follow: bool = True) -> Iterator[int]:
    """A descriptor of the folder, for os.listdir and os.stat. Raises OSError where it may not be read or
    its path is too long, NotADirectoryError where it is none, or is a link that is not to be followed."""
    if len(path) > LONGEST_FOLDER:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    descriptor = opened(path, os.O_RDONLY | _FOLDER | (0 if follow else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _near(path: bytes) -> Iterator[tuple[int | None, bytes]]:
    """A folder above, and the path from there on, which is short enough."""
    above: int | None = None
    try:
        while len(path) > LONGEST:
            cut = path.rindex(b"/", 0, LONGEST)
            below = os.open(path[: cut + 1], _STEP, dir_fd=above)
            if above is not None:
                os.close(above)
            above, path = below, path[cut + 1 :]
        yield above, path
    finally:
        if above is not None:
            os.close(above)
