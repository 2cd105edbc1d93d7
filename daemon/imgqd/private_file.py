"""Files for their owner alone, from the first byte on, whatever the umask."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def opener(path: str, flags: int) -> int:
    """For `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def put(place: Path, text: str) -> None:
    """Puts the text there whole or not at all: written beside, then renamed. Raises OSError; what was there
    stays then."""
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=opener) as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
