"""What the machine lends: folders, disk and clock."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from shlex import quote

from imgq.doctor.verdict import Verdict, note, ok, wrong
from imgq.errors import CannotStart
from imgq.paths import places, require_closed_above, socket_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# An index of 100,000 pictures takes some 500 MB, and is written anew to give space back.
_LITTLE_SPACE = 1 << 30
# Times of files and the time of the clock, in seconds.
_MOST_APART = 2.0
# A clock that the network sets right does not jump so far.
_SURELY_LATER = 3600.0
# imgq did not exist before this day.
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
        require_closed_above(folder)
        there = os.lstat(folder)
    except CannotStart as refused:
        return wrong("socket", refused.message, refused.hint)
    except OSError:
        return note("socket", f"{address} is not there yet; the daemon makes it")
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        found = f"{folder} is another user's, or no folder"
        return wrong("socket", found, f"sudo mv {quote(folder)} {quote(folder + '.old')}")
    if there.st_mode & 0o077:
        return wrong("socket", f"{folder} is open to others", f"chmod 700 {quote(folder)}")
    path = places().socket
    if address == f"ipc://{path}" and _is_in_the_way(path):
        found = f"{path} is in the way, and is not a socket of this user"
        return wrong("socket", found, f"mv {quote(path)} {quote(path + '.old')}")
    return ok("socket", f"{address}, in a private folder")


def _is_in_the_way(path: str) -> bool:
    """Whether there is something that is no socket of this user's."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return not stat.S_ISSOCK(there.st_mode) or there.st_uid != os.getuid()


def _permissions() -> Verdict:
    """Whether imgq's own folders can be written, or made, and what lies in them can be read and written."""
    here = places()
    folders = (os.path.dirname(here.settings), here.data, here.models, here.logs)
    for folder in dict.fromkeys(folders):
        if (found := _unwritable(folder)) is not None:
            return found
    for folder in dict.fromkeys(folders):
        for path in _files(folder):
            if not os.access(path, os.R_OK | os.W_OK):
                return wrong("permissions", f"{path} cannot be written", _yours(path))
    return ok("permissions", "imgq's own folders can be written")


def _unwritable(folder: str) -> Verdict | None:
    """What keeps a file from being made in a folder, or the folder itself."""
    nearest = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return None
    except OSError as error:
        found = f"nothing can be written in {nearest}: {error.strerror}"
        if error.errno == errno.ENOSPC:
            # The verdict on the disk tells.
            return None
        if error.errno == errno.ENOTDIR:
            remedy = f"move it away: mv {quote(nearest)} {quote(nearest + '.old')}"
        elif os.path.islink(nearest) and not os.path.exists(nearest):
            found = f"{nearest} is a link to {os.readlink(nearest)}, which is not there"
            remedy = "connect that disk, or make the folder"
        elif error.errno == errno.EROFS:
            remedy = (
                f"mount its disk for writing: sudo mount -o remount,rw {quote(_mount(nearest))}"
            )
        elif error.errno not in (errno.EACCES, errno.EPERM):
            remedy = "have imgq keep its things elsewhere: IMGQ_HOME names a folder"
        elif nearest == folder:
            remedy = _yours(folder)
        else:
            # Whatever is above it need not be theirs.
            remedy = f"sudo install -d -m 700 -o {os.getuid()} {quote(folder)}"
        return wrong("permissions", found, remedy)


def _yours(path: str) -> str:
    """The command that lets its user read and write it."""
    if os.lstat(path).st_uid != os.getuid():
        return f"sudo chown -R {os.getuid()} {quote(path)}"
    return f"chmod u+rw{'x' * os.path.isdir(path)} {quote(path)}"


def _files(folder: str) -> list[str]:
    """The files that lie directly in it."""
    try:
        with os.scandir(folder) as found:
            return sorted(each.path for each in found if each.is_file(follow_symlinks=False))
    except OSError:
        return []


def _mount(path: str) -> str:
    """Where what can only be read begins."""
    while path != "/" and os.statvfs(os.path.dirname(path)).f_flag & os.ST_RDONLY:
        path = os.path.dirname(path)
    return path


def _space() -> Verdict:
    folder = places().data
    try:
        there = os.statvfs(_nearest(folder))
    except OSError as error:
        return note("disk space", f"{folder} cannot be looked at: {error.strerror}")
    free = there.f_bavail * there.f_frsize
    found = f"{free / 1e9:.1f} GB are free in {folder}, where the index lies"
    if free < _LITTLE_SPACE:
        return wrong("disk space", found, "free some: imgq goes on with what it knows until then")
    return ok("disk space", found)


def _clock() -> Verdict:
    """Whether the disk and the system agree on the time: a file that is younger than now is looked at
    again and again."""
    now = time.time()
    if now < _FIRST_DAY:
        return wrong("clock", f"it is {time.ctime(now)} by this clock", "set the clock")
    if (written := _log_written()) > now + _SURELY_LATER:
        then = time.ctime(written)
        found = f"it is {time.ctime(now)} by this clock, and imgq's log was written on {then}"
        return wrong("clock", found, "set the clock; where it is right by now, `imgq restart`")
    try:
        with tempfile.TemporaryFile(dir=_nearest(places().data)) as file:
            apart = os.fstat(file.fileno()).st_mtime - now
    except OSError as error:
        return note("clock", f"no file could be made to compare it with: {error.strerror}")
    if abs(apart) > _MOST_APART:
        found = f"the disk of the index is {apart:+.0f} s away from the system's clock"
        return wrong("clock", found, "set the clock of the machine that has the disk")
    return ok("clock", "the system and the disk agree on the time")


def _log_written() -> float:
    """When the daemon last said something, in seconds since the epoch; 0 where it never did."""
    try:
        return os.stat(places().log).st_mtime
    except OSError:
        return 0.0


def _nearest(path: str) -> str:
    """The path, or the first above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
