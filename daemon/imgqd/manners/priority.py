"""Behind whatever else the machine does."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress

# Added to the daemon's own. At 19 a child gets a sixtieth of a core that somebody else keeps busy (the
# kernel's weights: 15 to 1024; at 10 110 to 1024): a person who asks with a picture would wait a minute for
# what takes a second, and a large picture would be late by any deadline that ends one that hangs, too.
NICE = 10
# <linux/ioprio.h>: this process, and the class that is served when nobody else asks the disk.
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_IDLE, _CLASS_SHIFT = 1, 3, 13
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
# <sys/resource.h> of macOS.
_IOPOL_TYPE_DISK, _IOPOL_SCOPE_PROCESS, _IOPOL_THROTTLE = 0, 0, 3


def lower(nice: int = NICE) -> None:
    """Of the processors and of the disk this process takes what others leave; nice: added to its own.
    For the thread that calls it, and those that it starts; as far as the system knows of such things."""
    os.nice(nice)
    libc = ctypes.CDLL(None)
    number = _IOPRIO_SET.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        idle = ctypes.c_long(_IOPRIO_CLASS_IDLE << _CLASS_SHIFT)
        libc.syscall(
            ctypes.c_long(number), ctypes.c_long(_IOPRIO_WHO_PROCESS), ctypes.c_long(0), idle
        )
    elif sys.platform == "darwin":
        with suppress(AttributeError):
            libc.setiopolicy_np(_IOPOL_TYPE_DISK, _IOPOL_SCOPE_PROCESS, _IOPOL_THROTTLE)
