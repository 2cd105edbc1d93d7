"""What a decoder may not do, so that a picture which takes it over finds nothing to take.

`tie_to_parent` comes first; `confine` when every decoder is loaded, for files cannot be opened for
writing after it. Whatever shuts off more of the system (Landlock, seccomp) belongs at its end.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_NICE = 10
_DESCRIPTORS = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def tie_to_parent(parent: int) -> None:
    """Has the process end with its parent, process id `parent`, where the system can do that.

    Raises SystemExit where the parent is gone already.
    """
    # The terminal's Ctrl-C is the daemon's to answer; it ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the daemon is gone")


def confine(memory: int) -> None:
    """Takes away what decoding does not need; `memory` is the most bytes of address space."""
    os.nice(_NICE)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def alarm(seconds: float) -> None:
    """Has the system end this process after `seconds` of work, 0 to call that off.

    The daemon's own deadline comes sooner; this one holds where the daemon was killed meanwhile. It is
    of the cores' time, since a process that is stopped cannot work.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds * (os.cpu_count() or 1))


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    try:
        resource.setrlimit(kind, (most, most))
    except (ValueError, OSError) as error:
        # macOS knows no limit on address space that holds.
        if sys.platform == "linux":
            raise SystemExit(f"a limit on resources could not be set: {error}") from error


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise SystemExit(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")
