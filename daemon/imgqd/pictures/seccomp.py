"""seccomp: from here on the kernel does for this process what decoding needs, and refuses the rest.

A list of what is allowed: memory, threads, clocks, reading and writing what is open. Not on it: files by
name, sockets, programs, other processes, and settings of any kind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from imgqd.pictures import kernel
from imgqd.pictures.bpf import (
    ANY_BIT,
    ARCHITECTURE,
    AT_LEAST,
    EQUAL,
    NUMBER,
    argument,
    give,
    load,
    unless,
    when,
)

# <linux/seccomp.h>, <sched.h>, <sys/mman.h>
_SET_MODE_FILTER, _ON_ALL_THREADS = 1, 1
_KILL, _ALLOW = 0x8000_0000, 0x7FFF_0000
_REFUSE, _UNKNOWN = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
_CLONE_THREAD = 0x0001_0000
_PROT_EXEC = 4
# Calls from this number on do not exist: clone3, whose flags no filter can see, and all that is newer. A
# C library does without them then.
_YOUNG = 435


@dataclass(frozen=True, slots=True)
class _Call:
    """A system call by its number on each architecture."""

    name: str
    x86_64: int
    arm64: int


_ALLOWED = (
    _Call("pread64", 17, 67),
    _Call("recvmsg", 47, 212),
    _Call("recvfrom", 45, 207),
    _Call("sendto", 44, 206),
    _Call("sendmsg", 46, 211),
    _Call("poll", 7, 73),  # arm64 has ppoll alone
    _Call("ppoll", 271, 73),
    _Call("read", 0, 63),
    _Call("write", 1, 64),
    _Call("writev", 20, 66),
    _Call("lseek", 8, 62),
    _Call("close", 3, 57),
    _Call("munmap", 11, 215),
    _Call("mremap", 25, 216),
    _Call("brk", 12, 214),
    _Call("madvise", 28, 233),
    _Call("futex", 202, 98),
    _Call("set_robust_list", 273, 99),
    _Call("rseq", 334, 293),
    _Call("sched_yield", 24, 124),
    _Call("sched_getaffinity", 204, 123),
    _Call("gettid", 186, 178),
    _Call("getpid", 39, 172),
    _Call("rt_sigaction", 13, 134),
    _Call("rt_sigprocmask", 14, 135),
    _Call("rt_sigreturn", 15, 139),
    _Call("sigaltstack", 131, 132),
    _Call("setitimer", 38, 103),
    _Call("restart_syscall", 219, 128),
    _Call("clock_gettime", 228, 113),
    _Call("clock_getres", 229, 114),
    _Call("gettimeofday", 96, 169),
    _Call("nanosleep", 35, 101),
    _Call("clock_nanosleep", 230, 115),
    _Call("getrusage", 98, 165),
    _Call("sysinfo", 99, 179),
    _Call("getrandom", 318, 278),
    _Call("exit", 60, 93),
    _Call("exit_group", 231, 94),
)
_CLONE = _Call("clone", 56, 220)
_MMAP, _MPROTECT = _Call("mmap", 9, 222), _Call("mprotect", 10, 226)
_TGKILL = _Call("tgkill", 234, 131)
_SECCOMP = _Call("seccomp", 317, 277)
_AUDIT = _Call("<linux/audit.h>", 0xC000_003E, 0xC000_00B7)


def shut() -> None:
    """Puts the filter on every thread of this process and on those that they start.

    Raises OSError where the kernel has none, or this architecture is not in the table.
    PR_SET_NO_NEW_PRIVS must be set.
    """
    # A program of 32 bits has the machine's name, and other calls.
    if platform.machine() not in ("x86_64", "aarch64") or sys.maxsize < 1 << 32:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()}")
    program = b"".join(_filter(os.getpid()))
    code = ctypes.create_string_buffer(program)
    # `struct sock_fprog`
    whole = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    )
    mode, threads = ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(_ON_ALL_THREADS)
    place = ctypes.c_void_p(ctypes.addressof(whole))
    if kernel.call(_number(_SECCOMP), mode, threads, place) != 0:
        raise OSError(errno.EBUSY, "a thread has a filter of its own")


def _filter(process: int) -> Iterator[bytes]:
    """Of 64-bit calls alone: another architecture's have other numbers."""
    yield load(ARCHITECTURE)
    yield unless(EQUAL, _number(_AUDIT), give(_KILL))
    yield load(NUMBER)
    yield when(AT_LEAST, _YOUNG, give(_UNKNOWN))
    for call in _ALLOWED:
        yield when(EQUAL, _number(call), give(_ALLOW))
    yield _checked(_CLONE, 0, unless(ANY_BIT, _CLONE_THREAD, give(_REFUSE)))
    yield _checked(_MMAP, 2, when(ANY_BIT, _PROT_EXEC, give(_REFUSE)))
    yield _checked(_MPROTECT, 2, when(ANY_BIT, _PROT_EXEC, give(_REFUSE)))
    # `abort` sends itself a signal.
    yield _checked(_TGKILL, 0, unless(EQUAL, process, give(_REFUSE)))
    yield give(_REFUSE)


def _checked(call: _Call, index: int, check: bytes) -> bytes:
    """Allows a call, unless the check of one of its arguments gives another result."""
    return when(EQUAL, _number(call), load(argument(index)), check, give(_ALLOW))


def _number(call: _Call) -> int:
    return call.x86_64 if platform.machine() == "x86_64" else call.arm64
