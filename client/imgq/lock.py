"""The daemon's lock: held from its start until its children are gone and it is, too."""

from __future__ import annotations

import fcntl
import os

from imgq.paths import cannot_ask, socket_address


def path() -> str:
    """Beside the socket that is asked."""
    return os.path.join(os.path.dirname(socket_address().removeprefix("ipc://")), "lock")


def is_free() -> bool:
    """Whether no daemon runs, be it one that starts or ends. Raises NoDaemon where the
    folder is another user's."""
    try:
        return not is_taken(path())
    except PermissionError as error:
        raise cannot_ask(error) from None


def is_taken(path: str) -> bool:
    """Whether a process has the lock of this path. Raises OSError where it cannot be looked at."""
    try:
        with open(path, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    return False


def holder() -> int:
    """The process that has it."""
    with open(path(), "rb") as lock:
        return int(lock.read(32))
