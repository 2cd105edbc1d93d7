"""The private folder of the socket: one daemon at a time, and nobody else's business."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import suppress
from shlex import quote

from imgq.errors import CannotStart
from imgq.listener import listener, name
from imgq.paths import require_closed_above

# Of the holder's number in the lock's file.
_LENGTH = 16
_ATTEMPTS, _PAUSE_S = 5, 0.02
# For one that ends: it lets go of its lock, where that is not gone, a moment before it closes the socket.
_LISTENS_S = 2.0
# A Unix socket refuses at once who comes when this many wait to be let in.
BACKLOG = 1024
# The first descriptor that a service manager hands over.
_HANDED_OVER = 3


def lock(path: str, held: int | None = None) -> int:
    """Takes the daemon's lock, which lasts until the descriptor is closed, or the process is gone.

    held: a descriptor that may have it already. Raises CannotStart where another daemon has it, or the
    folder cannot be used.
    """
    try:
        _make_private(os.path.dirname(path))
        descriptor = _same_file(held, path) or _opened(path)
    except OSError as error:
        raise CannotStart(f"the lock {path} cannot be had: {error.strerror}") from None
    if not _taken(descriptor):
        holder = os.pread(descriptor, _LENGTH, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise CannotStart(
            f"another daemon is running (pid {holder})", "`imgq restart` ends it and starts anew"
        ) from None
    # In place, and of one length: on a full disk that needs no more room than it has.
    with suppress(OSError):
        os.pwrite(descriptor, b"%-*d\n" % (_LENGTH - 1, os.getpid()), 0)
    return descriptor


def _opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _same_file(held: int | None, path: str) -> int | None:
    """The descriptor, where it is still that of the file at the path."""
    if held is None:
        return None
    with suppress(OSError):
        if os.path.samestat(os.fstat(held), os.lstat(path)):
            os.set_inheritable(held, False)
            return held
    return None


def _taken(descriptor: int) -> bool:
    # A client that looks whether the lock is free has it for an instant.
    for _ in range(_ATTEMPTS):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE_S)
    return False


def opened(path: str) -> socket.socket:
    """Listens at a path that nobody else listens at; only under the lock. A service manager's socket
    is listened to in its place. Raises CannotStart."""
    clear(path)
    listening = _handed_over(path) if _is_handed_over() else _bound(path)
    listening.setblocking(False)
    return listening


def clear(path: str) -> None:
    """Takes away the socket that a killed daemon left; only under the lock, which alone does not tell: its
    file may have been removed under a daemon that runs. A service manager's socket stays. Raises
    CannotStart where something else lies there, or somebody listens."""
    if _is_handed_over() or not os.path.lexists(path):
        return
    if not _is_own_socket(path):
        raise CannotStart(
            f"{path} is in the way, and is not a socket of this user",
            f"move it away: mv {quote(path)} {quote(path + '.old')}",
        )
    if (process := _listening(path)) is not None:
        raise _taken_by(process, path)
    with suppress(FileNotFoundError):
        os.unlink(path)


def close(listening: socket.socket, path: str) -> None:
    """A service manager's socket stays where it is, for whoever comes next."""
    listening.close()
    # What was put in its place meanwhile is not ours to take away.
    if not _is_handed_over() and _is_own_socket(path):
        with suppress(FileNotFoundError):
            os.unlink(path)


def _handed_over(path: str) -> socket.socket:
    listening = socket.socket(fileno=os.dup(_HANDED_OVER))
    elsewhere = listening.getsockname()
    if elsewhere != path:
        listening.close()
        raise CannotStart(
            f"the service manager listens at {elsewhere}, and clients ask at {path}",
            "`imgq service install` sets it right",
        )
    return listening


def _bound(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    # It is made by the umask; no moment may show it to others.
    before = os.umask(0o177)
    try:
        listening.bind(path)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotStart(f"nothing can be bound to {path}: {error}") from None
    finally:
        os.umask(before)
    return listening


def _taken_by(process: int, path: str) -> CannotStart:
    if name(process) == "systemd":
        return CannotStart(
            f"systemd listens on {path}, to start the service imgqd when somebody asks",
            "`imgq start` starts that; to run imgqd by hand: systemctl --user stop imgqd.socket imgqd",
        )
    who = f" by process {process} ({name(process)})" * bool(process)
    return CannotStart(
        f"another daemon is running: {path} is listened to{who}",
        f"`imgq stop` ends it; where it is not imgq's, `fuser {quote(path)}` tells what it is",
    )


def _listening(path: str) -> int | None:
    """The process that goes on listening there, 0 where it cannot be told; None where none does."""
    deadline = time.monotonic() + _LISTENS_S
    while (process := _listens_now(path)) is not None:
        if time.monotonic() > deadline or name(process) == "systemd":
            break
        time.sleep(_PAUSE_S)
    return process


def _listens_now(path: str) -> int | None:
    with socket.socket(socket.AF_UNIX) as asking:
        # Where too many wait to be let in, it is no less alive.
        asking.setblocking(False)
        failed = asking.connect_ex(path)
        if failed in (errno.ECONNREFUSED, errno.ENOENT):
            return None
        return 0 if failed else listener(asking)


def _is_own_socket(path: str) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid == os.getuid()


def _is_handed_over() -> bool:
    """Whether a service manager's socket unit has opened the socket (sd_listen_fds(3))."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"


def _make_private(folder: str) -> None:
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    require_closed_above(folder)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        # Not through a symlink: who could plant one could choose the folder.
        status = os.lstat(folder)
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if not is_own or status.st_mode & 0o077:
            # What a link leads to is not ours to close.
            close = f"`chmod 700 {quote(folder)}`, or " * is_own
            raise CannotStart(
                f"{folder} is not a private folder of this user",
                f"it holds the socket: {close}move it away: mv {quote(folder)} {quote(folder + '.old')}",
            ) from None
