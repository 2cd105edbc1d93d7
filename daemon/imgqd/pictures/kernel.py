"""System calls of Linux that have no function in Python."""

from __future__ import annotations

import ctypes
import errno
import os

_CAPABILITY_VERSION_3 = 0x2008_0522

Argument = ctypes.c_ulong | ctypes.c_void_p | None


def call(number: int, *arguments: Argument) -> int:
    """The result of a system call by its number on this architecture. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise _error()
    return result


def prctl(option: int, value: int) -> None:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        raise _error()


def drop_capabilities() -> None:
    """Has root's process keep none of its powers. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    # `struct __user_cap_header_struct` for this process, and two `struct __user_cap_data_struct`.
    header, held = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, held) != 0:
        raise _error()
    # Where there is nothing to give away, a service manager may not allow it either.
    if any(held) and libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise _error()


def _error() -> OSError:
    code = ctypes.get_errno() or errno.EINVAL
    return OSError(code, os.strerror(code))
