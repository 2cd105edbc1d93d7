"""From a path to pixels in a decoder's memory, or to a result."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.embedder.disks import Disks, OpenFile, SilentDisk
from imgqd.embedder.jobs import Decoded, Hashed, Job, Result, Turn
from imgqd.manners.precedence import give_way
from imgqd.pictures.formats import is_picture_name, is_sidecar_name
from imgqd.records import Failed, Failure, Gone, Ignored, Stamp, is_regular

if TYPE_CHECKING:
    from imgqd.embedder.bench import Bench
    from imgqd.embedder.memory import Memory
    from imgqd.embedder.twins import Twins

# A file that cannot be decoded may be half-written while it is younger than this.
YOUNG_S = 10.0
STILL_S = 2.0
EMPTY = Failure("damaged", "the file is empty")
EMPTY_AGAIN_S = 0.05
# A disk that does not answer, and a store that cannot be read, are asked again after so long.
SILENT_AGAIN_S = 3.0
STORE_AGAIN_S = 5.0
# Stamps are no finer than the kernel's tick, and whole seconds may be FAT's, which are two. One as
# young as the look may belong to two contents.
TICK_S, COARSE_TICK_S = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where work goes on: to the embedder, or straight to the results."""

    decoded: queue.PriorityQueue[Turn]
    put: Callable[[Result], None]
    twins: Twins


class Reader:
    """For all lanes together."""

    def __init__(self, memory: Memory, disks: Disks, outlets: Outlets) -> None:
        self._memory = memory
        self._disks = disks
        self._out = outlets

    def read(self, bench: Bench, job: Job) -> None:
        """Raises DecoderLost where the job is another decoder's to do."""
        give_way()
        try:
            with self._disks.opened(job.path, job.stamp.device) as file:
                self._look(bench, job, file)
        except SilentDisk:
            self._put(Result(job, again=SILENT_AGAIN_S))
        except StoreError:
            self._put(Result(job, again=STORE_AGAIN_S))
        except (FileNotFoundError, NotADirectoryError):
            # What is gone is no failure; what became something else is looked at again.
            self._put(Result(job, again=0.0))
        except OSError as error:
            self.fail(job, unreadable(error))

    def fail(self, job: Job, failure: Failure) -> None:
        self._put(Result(job, Failed(job.path, job.stamp, failure)))

    def _put(self, result: Result) -> None:
        self._out.put(result)

    def _look(self, bench: Bench, job: Job, file: OpenFile) -> None:
        if not is_regular(file.at_first):
            self._put(Result(job, again=0.0))
            return
        stamp = Stamp.of(file.at_first)
        if not stamp.size and not is_sidecar_name(job.path):
            self._empty(job, stamp)
            return
        trusted = _is_trusted(stamp)
        look = bench.look(file.descriptor, os.path.basename(job.path), stamp.size)
        if isinstance(look, Failure):
            self._refuse(job, Failed(job.path, stamp, look))
        elif look.hash is None:
            self._ignore(bench, job, file, trusted)
        elif Stamp.of(file.status()) != stamp:
            self._put(Result(job, again=STILL_S))
        else:
            self._hashed(bench, file, Hashed(job, stamp, look.hash, trusted))

    def _ignore(self, bench: Bench, job: Job, file: OpenFile, trusted: bool) -> None:
        """What is no picture may be what somebody has written of one."""
        stamp, said = Stamp.of(file.at_first), None
        if is_sidecar_name(os.path.basename(job.path)):
            said = bench.sidecar(file.descriptor)
            if Stamp.of(file.status()) != stamp:
                self._put(Result(job, again=STILL_S))
                return
        notes = None if isinstance(said, Failure) else said
        self._put(Result(job, Ignored(job.path, stamp, notes, trusted)))

    def _empty(self, job: Job, stamp: Stamp) -> None:
        """There may be a million of them; those that are no pictures have no rows, and are counted by who
        looks at their folder."""
        if is_picture_name(job.path):
            self._refuse(job, Failed(job.path, stamp, EMPTY))
        else:
            self._put(Result(job, Gone(job.path), again=EMPTY_AGAIN_S))

    def _hashed(self, bench: Bench, file: OpenFile, hashed: Hashed) -> None:
        give_way()
        if self._memory.is_known(hashed.hash):
            self._put(Result(hashed.job, hashed.row))
        elif (failure := self._memory.failure(hashed.hash)) is not None:
            self._refuse(hashed.job, _failed(hashed, failure, tried=False))
        elif self._out.twins.is_first(hashed):
            self._first(bench, file, hashed)

    def _first(self, bench: Bench, file: OpenFile, hashed: Hashed) -> None:
        try:
            # A twin may have been stored between the two questions.
            if self._memory.is_known(hashed.hash):
                self._again(hashed.hash)
                self._put(Result(hashed.job, hashed.row))
            else:
                self._decode(bench, file, hashed)
        except Exception:
            self._again(hashed.hash)
            raise

    def _again(self, hash: bytes) -> None:
        """Those who waited for this hash take their own turn."""
        for twin in self._out.twins.part(hash):
            self._put(Result(twin.job, again=0.0))

    def _decode(self, bench: Bench, file: OpenFile, hashed: Hashed) -> None:
        with bench.slab.leased() as lease:
            if lease is None:
                return
            metadata = bench.decode(file.descriptor, lease.slot)
            give_way()
            if isinstance(metadata, Failure):
                # The files with the same bytes take their turn when that is recorded.
                self._refuse(hashed.job, _failed(hashed, metadata, tried=True))
            elif self._has_changed(bench, file, hashed):
                self._again(hashed.hash)
                self._put(Result(hashed.job, again=STILL_S, decoded=True))
            else:
                lease.kept = True
                done = Decoded(hashed, metadata, lease.slab, lease.slot)
                self._out.decoded.put(Turn.of(done))

    def _has_changed(self, bench: Bench, file: OpenFile, hashed: Hashed) -> bool:
        if Stamp.of(file.status()) != hashed.stamp:
            return True
        # Under an untrusted stamp there may have been other bytes for the hash than for the pixels.
        return not hashed.trusted and self._hash(bench, file, hashed.job) != hashed.hash

    def _hash(self, bench: Bench, file: OpenFile, job: Job) -> bytes | None:
        look = bench.look(file.descriptor, os.path.basename(job.path), file.at_first.st_size)
        return None if isinstance(look, Failure) else look.hash

    def _refuse(self, job: Job, failed: Failed) -> None:
        """A picture that is still being written is no error yet; what was known of it holds no more."""
        young = YOUNG_S - _least_age(failed.stamp)
        if failed.failure.kind == "damaged" and young > 0:
            if failed.tried and failed.hash is not None:
                self._again(failed.hash)
            self._put(Result(job, Gone(job.path), again=min(STILL_S, young)))
        else:
            self._put(Result(job, failed))


def _failed(hashed: Hashed, failure: Failure, tried: bool) -> Failed:
    return Failed(hashed.job.path, hashed.stamp, failure, hashed.hash, tried)


def unreadable(error: OSError) -> Failure:
    return Failure("unreadable", f"it cannot be read: {error.strerror or error}")


def _least_age(stamp: Stamp) -> float:
    """Seconds, by either of its times; one that lies far in the future says nothing."""
    return min(_age(then) for then in (stamp.mtime_ns, stamp.ctime_ns))


def _is_trusted(stamp: Stamp) -> bool:
    """Never trust a timestamp as young as your look (borg's cache)."""
    return not any(_age(then) < _tick(then) for then in (stamp.mtime_ns, stamp.ctime_ns))


def _age(then: int) -> float:
    """Seconds since that time, or until it comes."""
    return abs(time.time_ns() - then) / 1e9


def _tick(then: int) -> float:
    return TICK_S if then % 10**9 else COARSE_TICK_S
