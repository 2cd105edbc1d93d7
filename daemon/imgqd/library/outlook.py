"""What is wrong with the watching, in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgq import wire


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the watching goes.

    absence: why nothing at all can be watched. refused: the folders that are not watched, by the system's
    number of the error. overflows, replaced: how often events were lost, and the watcher replaced, where
    that happened just now, else 0.
    """

    absence: OSError | RuntimeError | None
    refused: Mapping[int, frozenset[bytes]]
    overflows: int
    replaced: int

    def troubles(self) -> Iterator[wire.Trouble]:
        if self.absence is not None:
            yield _absent(self.absence)
        for number, folders in self.refused.items():
            # Those that may not be read are named one by one, by whoever tried to list them.
            if number != errno.EACCES:
                yield _refused(number, folders)
        if self.overflows:
            yield wire.Trouble(
                code="events_lost",
                message="more happened than the system could tell of "
                f"({_times(self.overflows)} so far); everything was looked at instead",
                remedy="if it goes on: sudo sysctl fs.inotify.max_queued_events=262144",
            )
        if self.replaced:
            yield wire.Trouble(
                code="watcher_replaced",
                message="the watcher heard nothing more and was replaced "
                f"({_times(self.replaced)} so far); everything was looked at instead",
                remedy="if it goes on, `imgq logs` tells more",
            )


def _absent(why: OSError | RuntimeError) -> wire.Trouble:
    limited = isinstance(why, OSError) and why.errno == errno.EMFILE
    return wire.Trouble(
        code="no_watcher",
        message=f"no folder can be watched, changes are found by scanning: {_words(why)}",
        remedy=_raised("max_user_instances", 1024)
        if limited
        else "it is tried again; `imgq logs` tells more",
    )


def _refused(number: int, folders: frozenset[bytes]) -> wire.Trouble:
    if number == errno.ENOSPC:
        return wire.Trouble(
            code="watch_limit",
            message=f"not every folder can be watched, {len(folders)} are beyond the system's limit; "
            "changes there are found by scanning",
            remedy=_raised("max_user_watches", 1 << 20),
        )
    return wire.Trouble(
        code="unwatched",
        path=min(folders),
        message=f"not every folder can be watched, {len(folders)} as {os.fsdecode(min(folders))}: "
        f"{os.strerror(number)}; changes there are found by scanning",
        remedy="it is tried again; `imgq logs` tells more",
    )


def _raised(name: str, least: int) -> str:
    """The command that raises a limit of inotify, to more than there is; and what keeps it so."""
    try:
        now = int(Path("/proc/sys/fs/inotify", name).read_text())
    except (OSError, ValueError):
        now = 0
    line = f"fs.inotify.{name}={max(least, 4 * now if now >= least else 0)}"
    return (
        f"raise it: sudo sysctl {line}; for good: echo {line} | sudo tee -a /etc/sysctl.d/imgq.conf"
    )


def _words(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
