"""What a process takes of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgq import wire

_PS_S = 2.0


def of(process: wire.Process) -> wire.Usage:
    """Its resident memory and its time of a core, where the system tells."""
    taken: dict[str, Any] = {}
    # It may have ended since.
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        taken = _of_proc(process.pid) if sys.platform == "linux" else _of_ps(process.pid)
    return wire.Usage(role=process.role, pid=process.pid, **taken)


def memory(processes: Iterable[wire.Process]) -> int | None:
    """Bytes that all of them hold, on Linux without what is shared; None where the system does not tell."""
    told = [taken for each in processes if (taken := _own(each)) is not None]
    return sum(told) if told else None


def _own(process: wire.Process) -> int | None:
    if sys.platform != "linux":
        return of(process).memory_bytes
    with suppress(OSError):
        # Pages: of its address space, in memory, and of these those of files and of shared memory.
        _, resident, shared = Path(f"/proc/{process.pid}/statm").read_bytes().split()[:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_proc(pid: int) -> dict[str, Any]:
    # Behind the name, which may hold anything: utime, stime and rss are the 14th, 15th and 24th of proc(5).
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return {
        "memory_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "cpu_s": round(ticks / os.sysconf("SC_CLK_TCK"), 2),
    }


def _of_ps(pid: int) -> dict[str, Any]:
    """macOS has no /proc: kilobytes, and [[hours:]minutes:]seconds."""
    told = subprocess.run(
        ["ps", "-o", "rss=,time=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=_PS_S,
        check=True,
    )
    kilobytes, spent = told.stdout.split()
    seconds = 0.0
    for part in spent.split(":"):
        seconds = 60 * seconds + float(part)
    return {"memory_bytes": int(kilobytes) * 1024, "cpu_s": seconds}
