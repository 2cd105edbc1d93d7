"""A folder as it is, held against the rows of the store."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgqd.embedder.lane import STILL_S
from imgqd.library.scan import Look
from imgqd.records import Stamp
from imgqd.store import FileState, Row

# Read errors are tried again after so long, and after ever longer.
FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 86400.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that is not as the store knows it; `state` is that of the row at its path, if any."""

    path: bytes
    stamp: Stamp
    state: FileState | None


@dataclass(slots=True)
class Differences:
    """What is to be done for a folder.

    changed: to be read now. unready: still being written, to be looked at in `unready_s` seconds.
    later: seconds until a read error is due again. gone: names that are no more.
    """

    changed: list[Seen] = field(default_factory=list)
    unready: list[Seen] = field(default_factory=list)
    unready_s: float = STILL_S
    later: float | None = None
    gone: list[bytes] = field(default_factory=list)


class Comparison:
    """Compares folders; remembers since when a file with a stamp in the future is as it is."""

    def __init__(self, decoder: str) -> None:
        self._decoder = decoder
        self._first_seen: dict[bytes, tuple[Stamp, float]] = {}

    def of(
        self,
        folder: bytes,
        look: Look,
        rows: Mapping[bytes, Row],
        *,
        closed: set[bytes],
        steady: bool,
    ) -> Differences:
        """closed: paths whose writer was seen to close them, which are read at once. steady: whether
        inode numbers and ctimes of the file system last."""
        found = Differences()
        for name, stamp in look.files.items():
            row = rows.get(name)
            if row is not None and row.trusted and _same(row.stamp, stamp, steady):
                wait = self._due_in(row)
                if wait is None:
                    continue
                if wait > 0:
                    found.later = min(wait, found.later or wait)
                    continue
            each = Seen(os.path.join(folder, name), stamp, row.state if row else None)
            wait = 0.0 if each.path in closed else self._unstill(each.path, stamp)
            if wait:
                found.unready.append(each)
                found.unready_s = min(found.unready_s, wait)
            else:
                found.changed.append(each)
        found.gone = [name for name in rows if name not in look.files]
        return found

    def _due_in(self, row: Row) -> float | None:
        """Seconds until an unchanged file is to be read, None where it is not."""
        if row.state == "pending":
            return 0.0
        if row.ledger is None or row.ledger.is_final(self._decoder):
            return None
        kind, attempts = row.ledger.failure.kind, row.ledger.attempts
        pause: float
        if kind == "unreadable":
            pause = min(FIRST_RETRY_S * 2 ** min(attempts - 1, 16), LONGEST_RETRY_S)
        else:
            # The second and last attempt after a crash or a hang is due at the next look.
            pause = 0.0
        return max(row.ledger.last_seen + pause - time.time(), 0.0)

    def _unstill(self, path: bytes, stamp: Stamp) -> float:
        """Seconds until the file has been still for STILL_S, 0 where it has."""
        # By its bytes' time alone: moving a file or changing its mode does not touch them.
        age = (time.time_ns() - stamp.mtime_ns) / 1e9
        if age >= STILL_S:
            self._first_seen.pop(path, None)
            return 0.0
        # A young stamp may also be a clock's jump: then the same stamp twice is what counts.
        known, since = self._first_seen.get(path, (None, 0.0))
        now = time.monotonic()
        if known != stamp:
            self._first_seen[path] = (stamp, now)
            return STILL_S if age < 0 else STILL_S - age
        still = now - since
        if still >= STILL_S:
            del self._first_seen[path]
            return 0.0
        return STILL_S - max(still, age)


def _same(known: Stamp, seen: Stamp, steady: bool) -> bool:
    """Whether two stamps mean the same bytes. Devices are numbered anew at each mount."""
    if (known.size, known.mtime_ns) != (seen.size, seen.mtime_ns):
        return False
    return not steady or (known.ctime_ns, known.inode) == (seen.ctime_ns, seen.inode)
