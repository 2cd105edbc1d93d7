"""What a decoder may not do, so that a picture which takes it over finds nothing to take.

`tie_to_parent` comes first; `confine` when every decoder is loaded, for no file can be opened after it.
Linux has barriers of its own for that; elsewhere the limits, the deadline and the daemon's watch on the
decoder's memory are all there is.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from imgqd.manners import priority
from imgqd.pictures import kernel, landlock, seccomp

# Asked for now: later the system does not say.
_CORES = os.cpu_count() or 1
_DESCRIPTORS = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def tie_to_parent(parent: int) -> None:
    """Has the process end with its parent, process id `parent`, where the system can do that.

    Raises SystemExit where the parent is gone already.
    """
    # The terminal's Ctrl-C is the daemon's to answer; it ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the daemon is gone")


def confine(memory: int) -> tuple[str, ...]:
    """Takes away what decoding does not need; `memory` is the most bytes of address space.

    Gives the names of the barriers that this Linux does not have. The limits hold everywhere.
    """
    priority.lower()
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    if sys.platform != "linux":
        return ()
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    missing = []
    for name, shut in (("Landlock", landlock.shut), ("seccomp", seccomp.shut)):
        try:
            shut()
        except OSError as error:
            missing.append(f"{name} ({error.strerror})")
    return tuple(missing)


def alarm(seconds: float) -> None:
    """Has the system end this process after `seconds` of work, 0 to call that off.

    The daemon's own deadline comes sooner; this one holds where the daemon was killed meanwhile. It is
    of the cores' time, since a process that is stopped cannot work.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds * _CORES)


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
