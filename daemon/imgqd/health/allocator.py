"""The allocator of C that the daemon's libraries share."""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS = 2
# <malloc.h> of glibc.
_M_ARENA_MAX = -8


def few_arenas() -> None:
    """Has all threads share a few arenas; for threads that begin later. glibc would give each of dozens an
    arena of its own, which keeps whatever was taken there once."""
    # Other allocators have no such call.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Gives the system what is free between what is in use: glibc by itself only gives back the end."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
