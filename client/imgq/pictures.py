"""The pictures of a query: read here, so that the daemon opens no file that a client names."""

from __future__ import annotations

import os
import stat

from imgq.errors import UsageError
from imgq.wire import MOST_PICTURE


def read(path: str) -> bytes:
    """The bytes of any regular file the caller can read; `-` is stdin. Raises UsageError that names it."""
    try:
        if path == "-":
            return _bounded(_stdin(), "the picture on stdin")
        return _bounded(_contents(os.path.expanduser(path)), repr(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the picture {path!r}: {_reason(error)}") from None


def _stdin() -> bytes:
    if os.isatty(0):
        raise UsageError(
            "stdin is this terminal, and no picture",
            "`imgq --like - < photo.jpg`, or name the file",
        )
    with open(0, "rb", closefd=False) as stdin:
        return stdin.read(MOST_PICTURE + 1)


def _contents(path: str) -> bytes:
    # A FIFO would block the open, a device the reading.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(
                f"{path!r} is no regular file", "a query picture is a file or `-` for stdin"
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_PICTURE + 1)
    finally:
        os.close(descriptor)


def _bounded(data: bytes, name: str) -> bytes:
    if not data:
        raise UsageError(f"{name} is empty")
    if len(data) > MOST_PICTURE:
        raise UsageError(
            f"{name} is larger than {MOST_PICTURE >> 20} MiB, the most for a query picture"
        )
    return data


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
