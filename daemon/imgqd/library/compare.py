"""A folder as it is, held against the rows of the store."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from imgqd.embedder.reading import STILL_S
from imgqd.library.scan import Entry, Named
from imgqd.manners.precedence import give_way
from imgqd.pictures.formats import is_picture_name, is_sidecar_name
from imgqd.records import LOST, Stamp
from imgqd.store import FileState, Row
from imgqd.store.files import NAME, Listed, is_at_rest, is_same
from imgqd.store.files import row as row_of

# Read errors are tried again after so long, and after ever longer.
FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 86400.0
# What is no picture and goes on changing is read so much later.
IGNORED_RETRY_S = 30.0
# What is not still is looked at every few seconds: a file that was not for so long is gone, or was read.
FORGET_S = 60.0
# So many files are compared before it is asked whether somebody goes first.
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that is not as the store knows it; `state` is that of the row at its path, if any. suspect:
    whether a decoder was lost on it."""

    path: bytes
    stamp: Stamp
    state: FileState | None
    suspect: bool = False


@dataclass(slots=True)
class Differences:
    """What else a comparison found than files to be read now.

    unready: still being written, to be looked at in `unready_s` seconds. later: seconds until a read
    error is due again. gone: names of files that are no more. folders: the names of those there are.
    unseen: names of what is there and cannot be looked at, and why. looked: how many names there are so
    far; empties: how many files are nothing, and have no row.
    """

    unready: list[Seen] = field(default_factory=list)
    unready_s: float = STILL_S
    later: float | None = None
    gone: list[bytes] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    unseen: dict[bytes, OSError] = field(default_factory=dict)
    looked: int = 0
    empties: int = 0

    def put_off(self, seen: Seen, wait: float) -> None:
        self.unready.append(seen)
        self.unready_s = min(self.unready_s, wait)

    def try_in(self, wait: float) -> None:
        self.later = min(wait, self.later or wait)


@dataclass(frozen=True, slots=True)
class View:
    """How a folder is looked at.

    closed: paths whose writer was seen to close them, which are read at once. steady: whether inode
    numbers and ctimes of the file system last. is_known: whether a file with this stamp is known at
    some path: then it has only moved, and nobody writes to it.
    """

    closed: set[bytes]
    steady: bool
    is_known: Callable[[Stamp], bool]


class Comparison:
    """Compares folders; remembers since when a file with a stamp in the future is as it is."""

    def __init__(self, decoder: str) -> None:
        self._decoder = decoder
        self._first_seen: dict[bytes, tuple[Stamp, float]] = {}
        self._next_forgetting = 0.0

    def of(
        self,
        folder: bytes,
        pairs: Iterable[tuple[Entry, Listed | None]],
        view: View,
        found: Differences,
    ) -> Iterator[Seen]:
        """The files to be read now; what else there is to say goes into `found`.

        pairs: the files of the folder that are not at rest, each with its row (see `paired`).
        """
        above = os.path.join(folder, b"")
        for (name, status), listed in pairs:
            if listed is None and is_nothing(name, status):
                found.empties += 1
                continue
            row = row_of(listed) if listed else None
            if row and row.trusted and is_same(row.stamp, status, view.steady):
                wait = self._due_in(row)
                if wait is None:
                    continue
                if wait > 0:
                    found.try_in(wait)
                    continue
            path = above + name
            state = row.state if row else None
            seen = Seen(path, Stamp.of(status), state, bool(row and _is_suspect(row)))
            wait = 0.0 if path in view.closed else self._unstill(path, seen.stamp)
            if not wait or view.is_known(seen.stamp):
                yield seen
            elif seen.state == "ignored" and not (is_picture_name(name) or is_sidecar_name(name)):
                # A log that is written to all the time is nothing to wait for.
                found.try_in(IGNORED_RETRY_S)
            else:
                found.put_off(seen, wait)

    def _due_in(self, row: Row) -> float | None:
        """Seconds until an unchanged file is to be read, None where it is not."""
        if row.state == "pending":
            return 0.0
        if row.ledger is None or row.ledger.is_final(self._decoder):
            return None
        if row.ledger.decoder != self._decoder:
            # Another one failed; or somebody asks for another try.
            return 0.0
        kind, attempts = row.ledger.failure.kind, row.ledger.attempts
        pause: float
        if kind == "unreadable":
            pause = min(FIRST_RETRY_S * 2 ** min(attempts - 1, 16), LONGEST_RETRY_S)
        else:
            # The second and last attempt after a crash or a hang is due at the next look.
            pause = 0.0
        passed = time.time() - row.ledger.last_seen
        # A clock that was put back tells nothing of when that was.
        return max(pause - passed, 0.0) if passed >= 0 else 0.0

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
            self._forget(now)
            self._first_seen[path] = (stamp, now)
            return STILL_S if age < 0 else STILL_S - age
        still = now - since
        if still >= STILL_S:
            del self._first_seen[path]
            return 0.0
        return STILL_S - max(still, age)

    def _forget(self, now: float) -> None:
        """Files of which nothing more was seen; one that waits after all waits once more."""
        if now >= self._next_forgetting:
            self._next_forgetting = now + FORGET_S
            kept = {
                each: seen for each, seen in self._first_seen.items() if now - seen[1] < FORGET_S
            }
            self._first_seen = kept


def paired(
    entries: Iterable[Named], rows: Iterable[Listed], steady: bool, found: Differences
) -> Iterator[tuple[Entry, Listed | None]]:
    """Each file that is not at rest (`is_at_rest`), with its row; both come in the order of names. Rows
    without a file are gone, and folders and what cannot be looked at are put down, in `found`."""
    known = iter(rows)
    row = next(known, None)
    for name, status in entries:
        found.looked += 1
        if found.looked % AT_ONCE == 1:
            give_way()
        if not isinstance(status, OSError) and stat.S_ISDIR(status.st_mode):
            found.folders.append(name)
            continue
        while row is not None and row[NAME] < name:
            found.gone.append(row[NAME])
            row = next(known, None)
        own = None
        if row is not None and row[NAME] == name:
            own, row = row, next(known, None)
        if isinstance(status, OSError):
            found.unseen[name] = status
        elif own is None or not is_at_rest(own, status, steady):
            yield (name, status), own
    while row is not None:
        found.gone.append(row[NAME])
        row = next(known, None)


def _is_suspect(row: Row) -> bool:
    return row.ledger is not None and row.ledger.failure.kind in LOST


def is_nothing(name: bytes, status: os.stat_result) -> bool:
    """Whether a file holds nothing, and its name is neither a picture's nor a sidecar's."""
    return not (status.st_size or is_picture_name(name) or is_sidecar_name(name))
