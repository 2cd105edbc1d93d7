"""What the machine lends: folders, disk and clock."""

from __future__ import annotations

import os
import stat
import tempfile
import time

from imgq.doctor.verdict import Verdict, note, ok, wrong
from imgq.paths import places, socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# An index of 100,000 pictures takes some 500 MB, and is written anew to give space back.
_LITTLE_SPACE = 1 << 30
# Times of files and the time of the clock, in seconds.
_MOST_APART = 2.0
# Before this imgq was not.
_FIRST_DAY = 1_704_067_200


def verdicts() -> Iterator[Verdict]:
    yield _socket()
    yield _permissions()
    yield _space()
    yield _clock()


def _socket() -> Verdict:
    address = socket_address()
    folder = os.path.dirname(address.removeprefix("ipc://"))
    try:
        there = os.lstat(folder)
    except OSError:
        return note("socket", f"{address} is not there yet; the daemon makes it")
    if there.st_uid != os.getuid():
        return wrong("socket", f"{folder} belongs to another user", "move it away")
    if not stat.S_ISDIR(there.st_mode) or there.st_mode & 0o022:
        return wrong("socket", f"{folder} is open to others", f"chmod 700 {folder}")
    return ok("socket", f"{address}, in a private folder")


def _permissions() -> Verdict:
    """Whether imgq's own folders can be written, or made."""
    here = places()
    for folder in (os.path.dirname(here.settings), here.data, here.models, here.logs):
        nearest = _nearest(folder)
        if not os.access(nearest, os.W_OK | os.X_OK):
            return wrong(
                "permissions",
                f"{folder} cannot be written: {nearest} does not let you",
                f"make it yours: sudo chown -R {os.getuid()} {nearest}",
            )
    return ok("permissions", "imgq's own folders can be written")


def _space() -> Verdict:
    there = os.statvfs(_nearest(places().data))
    free = there.f_bavail * there.f_frsize
    found = f"{free / 1e9:.1f} GB are free where the index lies"
    if free < _LITTLE_SPACE:
        return wrong("disk space", found, "free some: imgq goes on with what it knows until then")
    return ok("disk space", found)


def _clock() -> Verdict:
    """Whether the disk and the system agree on the time: a file that is younger than now is looked at
    again and again."""
    now = time.time()
    if now < _FIRST_DAY:
        return wrong("clock", f"it is {time.ctime(now)} by this clock", "set the clock")
    try:
        with tempfile.TemporaryFile(dir=_nearest(places().data)) as file:
            apart = os.fstat(file.fileno()).st_mtime - now
    except OSError as error:
        return note("clock", f"no file could be made to compare it with: {error.strerror}")
    if abs(apart) > _MOST_APART:
        found = f"the disk of the index is {apart:+.0f} s away from the system's clock"
        return wrong("clock", found, "set the clock of the machine that has the disk")
    return ok("clock", "the system and the disk agree on the time")


def _nearest(folder: str) -> str:
    """The folder, or the first above it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder
