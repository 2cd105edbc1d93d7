"""The text of the settings' file, whatever lies at its place."""

from __future__ import annotations

import os
import shlex
import stat

from imgq.errors import SettingsError

# Settings take some kB; whatever takes more is something else.
MOST_BYTES = 1 << 20
# Of the byte order, which some editors put before the first line.
MARK = "\ufeff"


def read(path: str) -> str:
    """The text of the file, with its `MARK` where it has one; does not wait for one that is none. Raises
    FileNotFoundError, SettingsError."""
    try:
        return _regular(path).decode()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path} is not UTF-8, in line {line}", "save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(
            f"cannot read the settings in {path}: {error.strerror}",
            "`imgq doctor` tells what keeps it from being read",
        ) from None


def _regular(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{path} is there and is no file", _away(path))
        if status.st_size > MOST_BYTES:
            found = f"{path} is larger than any settings, {status.st_size / 1e6:,.1f} MB"
            raise SettingsError(found, _away(path))
        return os.read(descriptor, MOST_BYTES)
    finally:
        os.close(descriptor)


def _away(path: str) -> str:
    return f"move it away: mv {shlex.quote(path)} {shlex.quote(path + '.old')}"
