"""Reads the metadata of pictures again that an older imgq has read, without embedding them again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.embedder.jobs import Noting
from imgqd.patience import Patience
from imgqd.records import Failure, Noted

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Spaces
    from imgqd.index import Index
    from imgqd.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)

# Between two looks whether there is something to do; and at what is left, as on disks that are away.
PAUSE_S = 1.0
AGAIN_S = 3600.0
# Where nothing is due it is so seldom asked for.
REST_S = 60.0
# So many pictures are recorded at a time. Each is waited for: a decoder has its own deadlines.
AT_ONCE = 16
PATIENCE_S = 120.0


class Noter(threading.Thread):
    """Works whenever there is nothing else to do, until it is stopped."""

    def __init__(self, index: Index, spaces: Spaces, reconciler: Reconciler) -> None:
        super().__init__(name="noter", daemon=True)
        self._index = index
        self._spaces = spaces
        self._reconciler = reconciler
        self._ending = threading.Event()
        self._next = 0.0
        self._renewals = index.renewals

    def run(self) -> None:
        while not self._ending.wait(PAUSE_S if self._is_due() else REST_S):
            if self._is_due() and self._is_free():
                self._next = time.monotonic() + AGAIN_S
                self._renewals = self._index.renewals
                try:
                    self._note_all()
                except StoreError as error:
                    log.info("metadata cannot be read again for now: %s", error.message)
                except Exception:
                    log.exception("metadata could not be read again: this is a bug")

    def stop(self) -> None:
        self._ending.set()
        self.join()

    def _is_due(self) -> bool:
        # An index that was made anew knows little of its pictures.
        return time.monotonic() > self._next or self._renewals != self._index.renewals

    def _is_free(self) -> bool:
        takes = self._spaces.takes_files and not self._index.store.is_immutable
        return takes and self._reconciler.is_settled

    def _note_all(self) -> None:
        """Newest first."""
        pictures = self._index.store.unnoted()
        if pictures:
            log.info("the metadata of %d pictures is read again", len(pictures))
        for first in range(0, len(pictures), AT_ONCE):
            while not self._is_free():
                if self._ending.wait(PAUSE_S):
                    return
            found = list(self._noted(pictures[first : first + AT_ONCE]))
            if self._ending.is_set():
                return
            if found:
                self._index.commit(found)

    def _noted(self, pictures: Sequence[int]) -> Iterator[Noted]:
        """One after the other, so that it takes no more than a core."""
        files = self._index.store.files_of(pictures)
        for picture in pictures:
            shown = next((file for file in files.get(picture, ()) if not file.offline), None)
            if shown is None or self._ending.is_set():
                continue
            answer = self._answer(Noting(shown.path))
            # Other bytes by now: whoever sees that reads all of it.
            if isinstance(answer, Noted) and answer.hash == shown.picture.hash:
                yield answer

    def _answer(self, work: Noting) -> Noted | Failure | None:
        """None where there is none in time, or the end has come."""
        self._spaces.submit(work)
        Patience(PATIENCE_S).wait(
            lambda seconds: self._ending.is_set() or bool(wait([work.answer], seconds).done)
        )
        return work.answer.result() if work.answer.done() else None
