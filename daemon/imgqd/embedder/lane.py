"""A decoder and the thread that feeds it: from a path to pixels in shared memory, or to a reason."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import CannotStart
from imgqd.embedder.jobs import Decoded, Job, QueryPicture, QueryVector, Result, ThumbnailOf, Turn
from imgqd.embedder.slab import Slab, Slabs
from imgqd.pictures.handle import Decoder, DecoderLost
from imgqd.records import Failed, Failure, Ignored, Indexed, Stamp, is_regular

if TYPE_CHECKING:
    from imgqd.embedder.jobs import Work
    from imgqd.embedder.twins import Twins
    from imgqd.records import Metadata

log = logging.getLogger(__name__)

# O_NOFOLLOW: what was a file at the scan may be a link by now; O_NONBLOCK: or a FIFO.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# A file that cannot be decoded may be half-written while it is younger than this.
YOUNG_S = 10.0
STILL_S = 2.0
RESTART_S = 2.0
# While no file is to be taken, a query waits no longer than this.
HELD_S = 0.5
# Stamps are no finer than the kernel's tick; on FAT, than two seconds. One as young as the look may
# belong to two contents.
TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Memory:
    """What the store knows that spares a decoder work.

    vector: the embedding of a hash's picture, float32 (dim,), by the model in use, or None.
    failure: why the bytes with a hash are known to be no picture, or None.
    follow_symlinks: whether a file may be a link.
    """

    is_known: Callable[[bytes], bool]
    vector: Callable[[bytes], np.ndarray | None]
    failure: Callable[[bytes], Failure | None]
    follow_symlinks: bool


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a lane's work goes on: to the embedder, or straight to the results."""

    decoded: queue.PriorityQueue[Turn]
    results: queue.SimpleQueue[Result | None]
    slabs: Slabs
    twins: Twins
    open_gate: threading.Event


class Lane(threading.Thread):
    """Takes work until the end of the queue. A decoder that dies costs one file and is replaced."""

    def __init__(
        self,
        work: queue.PriorityQueue[Turn],
        outlets: Outlets,
        memory: Memory,
        new_decoder: Callable[[], tuple[Decoder, int]],
    ) -> None:
        super().__init__(name="decoder", daemon=True)
        self._work = work
        self._out = outlets
        self._memory = memory
        self._flags = _OPEN | (0 if memory.follow_symlinks else os.O_NOFOLLOW)
        self._new_decoder = new_decoder
        self.restarts = 0
        self.busy = False
        self._ending = threading.Event()
        self.pid: int | None = None

    def run(self) -> None:
        # A decoder ends with the thread that made it.
        self._open()
        while (work := self._work.get().work) is not None:
            assert not isinstance(work, Decoded)
            if isinstance(work, Job) and not self._out.open_gate.is_set():
                self._work.put(Turn.of(work))
                self._out.open_gate.wait(HELD_S)
                continue
            self.busy = True
            self._do(work)
            self.busy = False
        if self.pid is not None:
            self._decoder.close()

    def end(self) -> None:
        """Lets the thread go that may wait for a slot."""
        self._ending.set()
        if self.pid is not None:
            self._slab.end()

    def kill(self) -> None:
        """Ends the work under way, which may take longer than anybody wants to wait."""
        if self.pid is not None:
            self._decoder.kill()

    def _do(self, work: Work) -> None:
        try:
            self._take(work)
        except DecoderLost as error:
            self._replace(error)
            if error.at_work:
                self._fail(work, error.failure)
            else:
                self._work.put(Turn.of(work))
        except Exception as error:
            log.exception("a lane failed on its work: this is a bug")
            self._fail(work, Failure("unreadable", f"imgq failed on it: {error}"))

    def _open(self) -> None:
        while not self._ending.is_set():
            try:
                self._decoder, slots = self._new_decoder()
            except CannotStart as error:
                log.error("%s", error)
                self._ending.wait(RESTART_S)
                continue
            self._slab = Slab(self._decoder.slab, slots)
            self._out.slabs.add(self._slab)
            self.pid = self._decoder.pid
            return

    def _replace(self, error: DecoderLost) -> None:
        log.warning("a decoder is replaced: %s", error.failure.reason)
        self.restarts += 1
        self._decoder.close()
        self._out.slabs.retire(self._slab)
        self._open()

    def _take(self, work: Work) -> None:
        if isinstance(work, QueryPicture):
            self._query(work)
        elif isinstance(work, ThumbnailOf):
            self._thumbnail(work)
        else:
            self._file(work)

    def _file(self, job: Job) -> None:
        try:
            descriptor = os.open(job.path, self._flags)
        except OSError as error:
            self._out.results.put(_unopened(job, error))
            return
        try:
            self._read(job, descriptor)
        finally:
            os.close(descriptor)

    def _read(self, job: Job, descriptor: int) -> None:
        status = os.fstat(descriptor)
        before = Stamp.of(status)
        if not is_regular(status):
            self._out.results.put(Result(job, again=0.0))
            return
        look = self._decoder.look(descriptor, os.path.basename(job.path))
        if isinstance(look, Failure):
            self._refused(job, before, look, None)
        elif look.hash is None:
            self._out.results.put(Result(job, Ignored(job.path, before)))
        elif Stamp.of(os.fstat(descriptor)) != before:
            self._out.results.put(Result(job, again=STILL_S))
        else:
            self._hashed(job, descriptor, before, look.hash)

    def _hashed(self, job: Job, descriptor: int, before: Stamp, hash: bytes) -> None:
        trusted = _is_trusted(before)
        if self._memory.is_known(hash):
            self._out.results.put(Result(job, Indexed(job.path, before, hash, trusted)))
        elif (failure := self._memory.failure(hash)) is not None:
            self._refused(job, before, failure, hash)
        elif self._out.twins.is_first(hash, job, before, trusted):
            self._first(job, descriptor, before, hash)

    def _first(self, job: Job, descriptor: int, before: Stamp, hash: bytes) -> None:
        try:
            # A twin may have been stored between the two questions.
            if self._memory.is_known(hash):
                self._again(hash)
                trusted = _is_trusted(before)
                self._out.results.put(Result(job, Indexed(job.path, before, hash, trusted)))
            else:
                self._decode(job, descriptor, before, hash)
        except Exception:
            self._again(hash)
            raise

    def _again(self, hash: bytes) -> None:
        """Those who waited for this hash take their own turn."""
        for twin in self._out.twins.part(hash):
            self._out.results.put(Result(twin.job, again=0.0))

    def _decode(self, job: Job, descriptor: int, before: Stamp, hash: bytes) -> None:
        slot = self._slab.lease()
        if slot is None:
            return
        metadata = self._pixels(descriptor, slot)
        if isinstance(metadata, Failure):
            for twin in self._out.twins.part(hash):
                self._refused(twin.job, twin.stamp, metadata, hash)
            self._refused(job, before, metadata, hash)
        elif Stamp.of(os.fstat(descriptor)) != before:
            self._slab.release(slot)
            self._again(hash)
            self._out.results.put(Result(job, again=STILL_S, decoded=True))
        else:
            done = Decoded(job, before, hash, metadata, self._slab.key, slot, _is_trusted(before))
            self._out.decoded.put(Turn.of(done))

    def _pixels(self, descriptor: int, slot: int) -> Metadata | Failure:
        """Decodes into the slot, which stays leased only if there are pixels in it."""
        try:
            metadata = self._decoder.decode(descriptor, slot)
        except BaseException:
            self._slab.release(slot)
            raise
        if isinstance(metadata, Failure):
            self._slab.release(slot)
        return metadata

    def _query(self, work: QueryPicture) -> None:
        look = self._decoder.look(work.descriptor, b"")
        if isinstance(look, Failure):
            self._fail(work, look)
        elif look.hash is None:
            self._fail(work, Failure("unsupported", "the file is no picture that imgq knows"))
        elif (vector := self._memory.vector(look.hash)) is not None:
            os.close(work.descriptor)
            work.answer.set_result(QueryVector(look.hash, vector))
        else:
            self._decode_query(work, look.hash)

    def _decode_query(self, work: QueryPicture, hash: bytes) -> None:
        slot = self._slab.lease()
        if slot is None:
            return
        metadata = self._pixels(work.descriptor, slot)
        if isinstance(metadata, Failure):
            self._fail(work, metadata)
            return
        stamp = Stamp.of(os.fstat(work.descriptor))
        os.close(work.descriptor)
        self._out.decoded.put(
            Turn.of(Decoded(work, stamp, hash, metadata, self._slab.key, slot, True))
        )

    def _thumbnail(self, work: ThumbnailOf) -> None:
        try:
            descriptor = os.open(work.path, self._flags)
        except OSError as error:
            work.answer.set_result(Failure("unreadable", _words(error)))
            return
        try:
            work.answer.set_result(self._decoder.thumbnail(descriptor, work.longest))
        finally:
            os.close(descriptor)

    def _refused(self, job: Job, stamp: Stamp, failure: Failure, hash: bytes | None) -> None:
        """A picture that is still being written is no error yet."""
        if failure.kind == "damaged" and _is_younger(stamp, YOUNG_S):
            self._out.results.put(Result(job, again=STILL_S))
        else:
            self._out.results.put(Result(job, Failed(job.path, stamp, failure, hash)))

    def _fail(self, work: Work, failure: Failure) -> None:
        if isinstance(work, Job):
            self._out.results.put(Result(work, Failed(work.path, work.stamp, failure)))
            return
        if isinstance(work, QueryPicture):
            os.close(work.descriptor)
        if not work.answer.done():
            work.answer.set_result(failure)


def _unopened(job: Job, error: OSError) -> Result:
    """A file that is gone is no failure, and one that became something else is looked at again."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Result(job, again=0.0)
    return Result(job, Failed(job.path, job.stamp, Failure("unreadable", _words(error))))


def _words(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


def _is_younger(stamp: Stamp, seconds: float) -> bool:
    """By either of its times; one that lies far in the future says nothing."""
    now = time.time_ns()
    return any(abs(now - then) < seconds * 1e9 for then in (stamp.mtime_ns, stamp.ctime_ns))


def _is_trusted(stamp: Stamp) -> bool:
    """Never trust a timestamp as young as your look (borg's cache)."""
    return not _is_younger(stamp, TICK_S)
