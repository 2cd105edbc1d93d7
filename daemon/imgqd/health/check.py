"""`imgq check`: the index held against itself, the vectors in memory against the index, and the index
against the disk; and what is wrong mended, where that can be."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from imgq.errors import Refused, StoreDamaged
from imgqd.library.audit import Audit, Code, Difference, Looked

if TYPE_CHECKING:
    from imgqd.health.upkeep import Upkeep
    from imgqd.library.walk import Library
    from imgqd.reconcile.backlog import Backlog
    from imgqd.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)

# So many files are told one by one.
MOST_DIFFERENCES = 10_000
# A change makes an event, and the event a look, within this time.
EVENT_S = 2.0
# And so long a look is waited for that is under way: what is different there after that is no finding.
PATIENCE_S = 10.0
# A look at everything, by those who keep the index right.
LOOK_S = 600.0

REPAIR = "`imgq check --repair`"
WORDS: dict[Code, tuple[str, str]] = {
    "missing": ("the index does not have it", f"{REPAIR} takes it in"),
    "gone": ("it is in the index, and not on the disk", f"{REPAIR} forgets it"),
    "changed": ("it has changed since it was indexed", f"{REPAIR} reads it again"),
    "forgotten": ("it waits to be embedded, and nobody is at it", f"{REPAIR} has it embedded"),
}
# By the store: nothing that stands in it can be relied on.
DAMAGED = "damaged"
OF_THE_DISK = {*WORDS, "more"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: where, what, and what to do; files: how many it concerns."""

    code: str
    path: bytes
    message: str
    remedy: str
    files: int = 1
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how much was looked at."""

    findings: tuple[Finding, ...]
    looked: Looked
    pictures: int


class Checker:
    """Checks beside all other work, for one client at a time."""

    def __init__(
        self, library: Library, backlog: Backlog, reconciler: Reconciler, upkeep: Upkeep
    ) -> None:
        self._library = library
        self._index = upkeep.index
        self._backlog = backlog
        self._reconciler = reconciler
        self._upkeep = upkeep
        self._busy = threading.Lock()

    def check(self, tops: Sequence[bytes] = ()) -> Report:
        """All of it; of the disk only what lies under the tops, where there are any."""
        with self._alone():
            return self._report(tops)

    def repair(self, tops: Sequence[bytes] = ()) -> Report:
        """The same, and mends what was found. A root, or a disk mounted below one, among the tops is what
        lies there now."""
        with self._alone():
            self._adopt(tops)
            renewals = self._index.renewals
            before = self._report(tops)
            if not before.findings:
                return before
            if any(finding.code not in OF_THE_DISK for finding in before.findings):
                self._mend(renewals)
            self._reconciler.look(LOOK_S)
            return _compared(before, self._report(tops))

    def _mend(self, renewals: int) -> None:
        try:
            self._index.repair()
        except StoreDamaged as error:
            log.error("%s", error.message)
        if next(self._inside(), None):
            # It cannot be mended in place.
            self._upkeep.renew(renewals)

    def _adopt(self, tops: Sequence[bytes]) -> None:
        roots = self._library.roots
        for top in set(tops).intersection(roots.offline()):
            roots.adopt(top)
            self._reconciler.look(LOOK_S)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise Refused("another check is under way", "wait until it has ended")
        try:
            yield
        finally:
            self._busy.release()

    def _report(self, tops: Sequence[bytes]) -> Report:
        audit = Audit(self._library, self._index.store)
        findings = tuple(self._inside())
        if not any(finding.code == DAMAGED for finding in findings):
            findings += tuple(self._outside(audit, tops))
        return Report(findings, audit.looked, self._index.store.counts().pictures)

    def _inside(self) -> Iterator[Finding]:
        """The index against itself, and the vectors in memory against it."""
        path = os.fsencode(self._index.store.path)
        for fault in self._index.store.check():
            yield Finding(fault.code, path, fault.message, f"{REPAIR} mends it", fault.files)
        # In a store that is damaged there is nothing to compare with.
        with suppress(StoreDamaged):
            if strays := self._index.strays():
                message = f"{strays} vectors in memory are not those of the index"
                yield Finding("memory", path, message, f"{REPAIR} loads them again", strays)

    def _outside(self, audit: Audit, tops: Sequence[bytes]) -> Iterator[Finding]:
        """What is different, and was so a while ago, and nobody has been told of."""
        differences = audit.differences(tops)
        first = list(islice(differences, MOST_DIFFERENCES))
        is_all = next(differences, None) is None
        if first:
            self._let_pass({each.folder for each in first})
        for each in sorted(audit.again(first), key=lambda each: each.path):
            if not self._is_awaited(each):
                yield Finding(each.code, each.path, *WORDS[each.code], each.files)
        if not is_all:
            message = (
                f"there are more than {MOST_DIFFERENCES:,} differences; the others are not told"
            )
            yield Finding("more", b"/", message, f"{REPAIR} mends them, too", 0)

    def _let_pass(self, folders: set[bytes]) -> None:
        """Returns when what was under way in these folders has been looked at, or goes on and on."""
        deadline = time.monotonic() + PATIENCE_S
        time.sleep(EVENT_S)
        while any(map(self._is_covered, folders)) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _is_awaited(self, difference: Difference) -> bool:
        return self._is_covered(difference.folder) or self._backlog.awaits(difference.path)

    def _is_covered(self, folder: bytes) -> bool:
        roots = self._library.roots
        return self._library.dirty.covers(folder) or roots.of(folder) in roots.scanning


def _compared(before: Report, after: Report) -> Report:
    """What there was and is no more, repaired; and what there is."""
    left = {(finding.code, finding.path) for finding in after.findings}
    repaired = [
        replace(finding, repaired=True)
        for finding in before.findings
        if (finding.code, finding.path) not in left
    ]
    return replace(after, findings=(*repaired, *after.findings))
