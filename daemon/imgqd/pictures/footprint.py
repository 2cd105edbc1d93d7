"""How much memory a child holds, for systems that do not keep it within a limit themselves."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

# <sys/resource.h> of macOS: `proc_pid_rusage` with RUSAGE_INFO_V0, a UUID and ten numbers; what is
# resident or compressed is the eighth of these.
_USAGE = struct.Struct("=16x10Q")
_FOOTPRINT = 7
_PAGE = os.sysconf("SC_PAGE_SIZE")


def footprint(pid: int) -> int:
    """Bytes; 0 where the process is gone, or the system does not tell."""
    return _on_macos(pid) if sys.platform == "darwin" else _on_linux(pid)


def _on_linux(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _on_macos(pid: int) -> int:
    usage = ctypes.create_string_buffer(_USAGE.size)
    if ctypes.CDLL(None).proc_pid_rusage(ctypes.c_int(pid), ctypes.c_int(0), usage) != 0:
        return 0
    return _told(usage.raw)


def _told(usage: bytes) -> int:
    numbers: tuple[int, ...] = _USAGE.unpack(usage)
    return numbers[_FOOTPRINT]
