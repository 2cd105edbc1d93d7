"""Landlock: from here on this process opens no file, no TCP port, and signals no other process.

After the kernel's userspace-api/landlock.rst. What is open stays open.
"""

from __future__ import annotations

import ctypes
import os

from imgqd.pictures import kernel

# The same on every architecture.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_ASK_FOR_VERSION = 1

# How many rights there are to take away, by the first version of the interface that knows so many.
_ON_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
_ON_PORTS = {4: 2}
_ON_PROCESSES = {6: 2}


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("ports", ctypes.c_uint64),
        ("processes", ctypes.c_uint64),
    )


_NOTHING = ctypes.c_ulong(0)


def version() -> int:
    """That of the kernel's interface; signals need 6, ports 4. Raises OSError where it has none."""
    return kernel.call(_CREATE_RULESET, None, _NOTHING, ctypes.c_ulong(_ASK_FOR_VERSION))


def shut() -> None:
    """Takes away every right that this kernel's Landlock knows of. Raises OSError where it has none.

    For the calling thread and those that it starts; PR_SET_NO_NEW_PRIVS must be set.
    """
    known = version()
    rules = _Ruleset(*(_mask(known, kind) for kind in (_ON_FILES, _ON_PORTS, _ON_PROCESSES)))
    # A kernel takes a longer record than it knows, if the rest of it is zero.
    size = ctypes.c_ulong(ctypes.sizeof(rules))
    place = ctypes.c_void_p(ctypes.addressof(rules))
    ruleset = kernel.call(_CREATE_RULESET, place, size, _NOTHING)
    try:
        kernel.call(_RESTRICT_SELF, ctypes.c_ulong(ruleset), _NOTHING)
    finally:
        os.close(ruleset)


def _mask(version: int, rights: dict[int, int]) -> int:
    return (1 << max((count for since, count in rights.items() if since <= version), default=0)) - 1
