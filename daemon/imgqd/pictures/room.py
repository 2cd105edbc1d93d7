"""Whether there is memory, for where a decoder that failed does not say that there was none."""

from __future__ import annotations

import mmap


def require_room(size: int) -> None:
    """Raises MemoryError where so many bytes cannot be had now."""
    try:
        mmap.mmap(-1, size).close()
    except OSError as error:
        raise MemoryError from error
