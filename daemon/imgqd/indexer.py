"""Records what the pipeline made of files: one transaction a batch."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.embedder.jobs import Result
from imgqd.index import Index
from imgqd.library import reach
from imgqd.library.dirty import Dirty
from imgqd.manners.precedence import give_way
from imgqd.reconcile.backlog import Backlog
from imgqd.records import LOST, Change, Embedded, Failed, Ignored, Indexed, Stamp

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Spaces

log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 512
# After a crash or a hang a file has its second and last attempt so much later.
SECOND_ATTEMPT_S = 1.0
# Read errors are the disk's: tried again, at first after so long.
UNREADABLE_S = 30.0
# A stamp as young as the look may hide another write: the bytes are hashed once more.
UNTRUSTED_S = 2.0
STORE_PAUSE_S = 5.0
PUT_OFF_S = 60.0
_NAME = "indexer"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, and what is to be recorded of it: its change, or what is still true of it."""

    result: Result
    change: Change | None


class Indexer(threading.Thread):
    """Takes results until it is stopped."""

    def __init__(self, index: Index, spaces: Spaces, backlog: Backlog, dirty: Dirty) -> None:
        super().__init__(name="indexer", daemon=True)
        self._index = index
        self._spaces = spaces
        self._backlog = backlog
        self._dirty = dirty
        self._ending = threading.Event()
        self.trouble: StoreError | None = None
        self._attempts = 0
        self._waits = True

    @property
    def progress(self) -> int | None:
        """How often it has tried to record something; None while there is nothing to record."""
        return None if self._waits else self._attempts

    def run(self) -> None:
        while not self._ending.is_set():
            batch = self._batch()
            while not self._is_recorded(batch) and not self._ending.wait(STORE_PAUSE_S):
                continue

    def stop(self) -> None:
        """Returns when the batch under way is recorded."""
        self._ending.set()
        self._spaces.results.put(None)
        self.join()

    def _is_recorded(self, batch: list[Result]) -> bool:
        """Where the store cannot be written, the batch waits, and no more files are taken meanwhile:
        nothing is decoded and embedded for nothing."""
        self._attempts += 1
        try:
            self._record(batch)
        except StoreError as error:
            if self.trouble is None or self.trouble.message != error.message:
                log.error("the index cannot be written: %s", error.message)
            self.trouble = error
            self._spaces.hold(_NAME)
            return False
        except Exception:
            log.exception("a batch could not be recorded: this is a bug")
            self._put_off(batch)
        self.trouble = None
        for source, count in Counter(each.source for each in batch if each.embedded).items():
            if source is not None:
                source.unrecorded.add(-count)
        self._spaces.release(_NAME)
        return True

    def _batch(self) -> list[Result]:
        results = self._spaces.results
        self._waits = True
        batch = [results.get()]
        self._waits = False
        with contextlib.suppress(queue.Empty):
            while len(batch) < MOST_IN_A_BATCH:
                batch.append(results.get_nowait())
        return [result for result in batch if result is not None]

    def _record(self, batch: list[Result]) -> None:
        with self._spaces.stages.timed("write", len(batch)), self._index.lock:
            # Which model is in use changes under the same lock.
            whose = [(self._spaces.whose(result), result) for result in batch]
            beside = [result for of, result in whose if of == "another"]
            found = [
                Outcome(result, self._as_it_is_now(result.change))
                for of, result in whose
                if of == "used"
            ]
            changes = [outcome.change for outcome in found if outcome.change]
            changes += [made for result in beside if (made := self._made_beside(result))]
            committed = self._index.commit(changes) if changes else None
        self._count(found)
        self._tell(beside)
        for outcome in found:
            self._part_twins(outcome)
        with self._backlog.at_once():
            for path in committed.again if committed else ():
                self._dirty.mark(os.path.dirname(path))
            for outcome in found:
                self._finish(outcome)

    def _made_beside(self, result: Result) -> Embedded | None:
        """What is to be recorded of a result that is a matter of another model than the one in use."""
        change, model = result.change, self._spaces.model_of(result)
        if model is None or not isinstance(change, Indexed) or change.embedding is None:
            return None
        assert change.metadata is not None
        return Embedded(change.hash, change.metadata, change.embedding, model.id)

    def _tell(self, beside: list[Result]) -> None:
        for result in beside:
            self._backlog.tally.decoded += result.decoded
            self._backlog.tally.embedded += result.embedded
            self._part_twins(Outcome(result, None))
            self._spaces.tell(result)

    def _finish(self, outcome: Outcome) -> None:
        path, change, again = outcome.result.job.path, outcome.change, outcome.result.again
        folder = os.path.dirname(path)
        if again:
            self._dirty.mark_later(folder, again)
        elif change is None or isinstance(change, Embedded):
            self._dirty.mark(folder)
        elif isinstance(change, Failed):
            self._try_later(folder, change)
        elif isinstance(change, Indexed | Ignored) and not change.trusted:
            self._dirty.mark_later(folder, UNTRUSTED_S, counts=False)
        self._backlog.finish(path, self._dirty.mark)

    def _try_later(self, folder: bytes, failed: Failed) -> None:
        if failed.failure.kind in LOST:
            self._dirty.mark_later(folder, SECOND_ATTEMPT_S)
        elif failed.failure.kind == "unreadable":
            if self._spaces.memory.is_remote(failed.path):
                # Perhaps all of its disk is silent: whoever looks there notices.
                self._dirty.mark(folder)
            self._dirty.mark_later(folder, UNREADABLE_S, counts=False)

    def _part_twins(self, outcome: Outcome) -> None:
        """The picture is stored, and files with the same bytes only need a row; or it is not, and they
        take their own turn, knowing what is recorded of it."""
        read = outcome.result.change
        if not isinstance(read, Indexed | Failed) or read.hash is None:
            return
        if not (read.tried if isinstance(read, Failed) else outcome.result.decoded):
            return
        is_stored = isinstance(outcome.change, Indexed | Embedded)
        source = outcome.result.source
        for twin in source.twins.part(read.hash) if source else ():
            result = Result(twin.job, twin.row) if is_stored else Result(twin.job, again=0.0)
            self._spaces.results.put(replace(result, source=source))

    def _count(self, found: list[Outcome]) -> None:
        tally = self._backlog.tally
        for outcome in found:
            tally.decoded += outcome.result.decoded
            tally.embedded += outcome.result.embedded
            tally.failed += isinstance(outcome.change, Failed)
            tally.reused += isinstance(outcome.change, Indexed) and not outcome.result.embedded

    def _put_off(self, batch: list[Result]) -> None:
        """Nothing of the batch is recorded: its folders are looked at again, later."""
        for result in batch:
            self._part_twins(Outcome(result, None))
            if self._spaces.whose(result) != "used":
                self._spaces.tell(replace(result, change=None, again=PUT_OFF_S))
                continue
            with self._backlog.at_once():
                self._dirty.mark_later(os.path.dirname(result.job.path), PUT_OFF_S)
                self._backlog.finish(result.job.path, self._dirty.mark)

    def _as_it_is_now(self, change: Change | None) -> Change | None:
        """What is still true of a change, by a look at its file under the index's lock. The embedding
        of a picture whose file has moved, changed or gone is kept: its bytes may lie elsewhere."""
        give_way()
        if not isinstance(change, Indexed | Failed | Ignored) or self._still_holds(change):
            return change
        if isinstance(change, Indexed) and change.metadata and change.embedding is not None:
            return Embedded(change.hash, change.metadata, change.embedding)
        return None

    def _still_holds(self, change: Indexed | Failed | Ignored) -> bool:
        """Whether the file is what it was when it was read. On a disk that may not answer, what its lane
        saw last has to do: everybody waits for the lock."""
        memory = self._spaces.memory
        if memory.is_remote(change.path):
            return True
        if not memory.follow_symlinks and memory.leads_elsewhere(change.path):
            return False
        try:
            status = reach.status(change.path, follow=memory.follow_symlinks)
            return Stamp.of(status) == change.stamp
        except OSError:
            # Unreadable for its folder's sake: that is the failure to record.
            return isinstance(change, Failed) and _is_there(change.path)


def _is_there(path: bytes) -> bool:
    try:
        reach.status(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
