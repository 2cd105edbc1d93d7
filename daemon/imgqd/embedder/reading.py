"""From a path to pixels in a decoder's memory, or to a result."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from imgq.errors import StoreError
from imgqd.embedder.ages import least_age
from imgqd.embedder.disks import Disks, OpenFile, SilentDisk
from imgqd.embedder.jobs import Decoded, Hashed, Job, Result, Turn
from imgqd.embedder.looking import Begun, looked, opened, unseen_of
from imgqd.manners.precedence import give_way
from imgqd.pictures.formats import is_picture_name, is_sidecar_name
from imgqd.pictures.handle import DecoderLost
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failed, Failure, Gone, Ignored, Metadata, Stamp, is_regular

if TYPE_CHECKING:
    from imgqd.embedder.bench import Bench
    from imgqd.embedder.memory import Memory
    from imgqd.embedder.slab import Lease
    from imgqd.embedder.twins import Twins

log = logging.getLogger(__name__)

# A file that cannot be decoded may be half-written while it is younger than this.
YOUNG_S = 10.0
STILL_S = 2.0
EMPTY = Failure("damaged", "the file is empty")
EMPTY_AGAIN_S = 0.05
# A disk that does not answer, and a store that cannot be read, are asked again after so long.
SILENT_AGAIN_S = 3.0
STORE_AGAIN_S = 5.0
# Several files are read together where each is small: nobody waits much longer for one of them.
SMALL_BYTES = 256 << 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where work goes on: to the embedder, or straight to the results."""

    decoded: queue.PriorityQueue[Turn]
    put: Callable[[Result], None]
    twins: Twins


@dataclass(frozen=True, slots=True)
class Unknown:
    """A file whose picture is to be decoded."""

    file: OpenFile
    hashed: Hashed


class _Suspect(Exception):
    """A decoder was lost on these bytes, under another name."""


class Reader:
    """For all lanes together."""

    def __init__(self, memory: Memory, disks: Disks, outlets: Outlets) -> None:
        self._memory = memory
        self._disks = disks
        self._out = outlets

    def goes_with_others(self, job: Job) -> bool:
        """Whether others may be read together with it: from far away each may keep them waiting."""
        is_small = job.stamp.size <= SMALL_BYTES
        return is_small and not job.alone and not self._memory.is_remote(job.path)

    def read(self, bench: Bench, jobs: Sequence[Job]) -> list[Job]:
        """Those that are left for another decoder. Raises DecoderLost where all are."""
        give_way()
        with ExitStack() as files:
            begun = [*looked(bench, [opened(self._disks, job, files) for job in jobs])]
            done = {each.job for each in begun}
            left = [job for job in jobs if job not in done]
            unknown = [
                found
                for each in begun
                if (found := self._guarded(each.job, partial(self._sorted, bench, each), left))
            ]
            try:
                self._decode(bench, unknown, left)
            except Exception:
                for each in unknown:
                    self._again(each.hashed.hash)
                raise
        return left

    def _guarded(self, job: Job, act: Callable[[], T], left: list[Job]) -> T | None:
        """What comes of it; where it raises, the result is told, or the job is left."""
        try:
            return act()
        except Exception as error:
            self._excuse(job, error, left)
            # Its frames hold `act`, and that the file that could not be opened: the error itself.
            error.__traceback__ = None
        return None

    def _excuse(self, job: Job, error: Exception, left: list[Job]) -> None:
        match error:
            case DecoderLost():
                left.append(job)
            case _Suspect():
                left.append(replace(job, alone=True))
            case SilentDisk():
                self._put(Result(job, again=SILENT_AGAIN_S))
            case StoreError():
                self._put(Result(job, again=STORE_AGAIN_S))
            case FileNotFoundError() | NotADirectoryError():
                # What is gone is no failure; what became something else is looked at again.
                self._put(Result(job, again=0.0))
            case OSError():
                self.fail(job, unreadable(error))
            case _:
                log.exception("a file could not be read: this is a bug")
                self.fail(job, Failure("unreadable", f"imgq failed on it: {error}"))

    def fail(self, job: Job, failure: Failure) -> None:
        self._put(Result(job, Failed(job.path, job.stamp, failure)))

    def _put(self, result: Result) -> None:
        self._out.put(result)

    def _sorted(self, bench: Bench, begun: Begun) -> Unknown | None:
        """What is to be decoded; the result of all else is told."""
        if isinstance(begun.file, Exception):
            raise begun.file
        job, file, look = begun.job, begun.file, begun.look
        stamp = Stamp.of(file.at_first)
        if not is_regular(file.at_first):
            self._put(Result(job, again=0.0))
        elif look is None:
            self._empty(job, stamp)
        elif isinstance(look, Failure):
            self._refuse(job, Failed(job.path, stamp, look))
        elif look.hash is None:
            self._ignore(bench, job, file, begun.trusted)
        elif Stamp.of(file.status()) != stamp:
            self._put(Result(job, again=STILL_S))
        elif self._is_unknown(hashed := Hashed(job, stamp, look.hash, begun.trusted)):
            return Unknown(file, hashed)
        return None

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

    def _is_unknown(self, hashed: Hashed) -> bool:
        """Whether its picture is to be decoded; else its result is told, or it waits for its twin."""
        if self._memory.is_known(hashed.hash):
            self._put(Result(hashed.job, hashed.row))
        elif (before := self._memory.failure(hashed.hash)) is not None and before.is_final:
            self._refuse(hashed.job, _failed(hashed, before.failure, tried=False))
        elif before is not None and not hashed.job.alone:
            raise _Suspect
        elif self._out.twins.is_first(hashed):
            return self._is_still_unknown(hashed)
        return False

    def _is_still_unknown(self, hashed: Hashed) -> bool:
        """A twin may have been stored between the two questions."""
        try:
            if not self._memory.is_known(hashed.hash):
                return True
            self._put(Result(hashed.job, hashed.row))
        except Exception:
            self._again(hashed.hash)
            raise
        self._again(hashed.hash)
        return False

    def _again(self, hash: bytes) -> None:
        """Those who waited for this hash take their own turn."""
        for twin in self._out.twins.part(hash):
            self._put(Result(twin.job, again=0.0))

    def _decode(self, bench: Bench, unknown: Sequence[Unknown], left: list[Job]) -> None:
        with ExitStack() as slots:
            leases = _leased(bench, len(unknown), slots)
            if not leases:
                return
            files = [
                Undecoded(each.file.descriptor, lease.slot)
                for each, lease in zip(unknown, leases, strict=True)
            ]
            for each, lease, found in zip(unknown, leases, _decoded(bench, files), strict=True):
                give_way()
                told = partial(self._tell, bench, each, lease, found)
                self._guarded(each.hashed.job, told, left)

    def _tell(
        self, bench: Bench, unknown: Unknown, lease: Lease, found: Metadata | Failure | None
    ) -> None:
        """Raises DecoderLost where another decoder is to do it."""
        hashed = unknown.hashed
        try:
            if found is None:
                assert bench.lost is not None
                raise bench.lost
            if isinstance(found, Failure):
                # The files with the same bytes take their turn when that is recorded.
                self._refuse(hashed.job, _failed(hashed, found, tried=True))
            elif self._has_changed(bench, unknown.file, hashed):
                self._again(hashed.hash)
                self._put(Result(hashed.job, again=STILL_S, decoded=True))
            else:
                lease.kept = True
                done = Decoded(hashed, found, lease.slab, lease.slot)
                self._out.decoded.put(Turn.of(done))
        except Exception:
            self._again(hashed.hash)
            raise

    def _has_changed(self, bench: Bench, file: OpenFile, hashed: Hashed) -> bool:
        if Stamp.of(file.status()) != hashed.stamp:
            return True
        # Under an untrusted stamp there may have been other bytes for the hash than for the pixels.
        if hashed.trusted:
            return False
        look = bench.look_at(unseen_of(hashed.job, file))
        return isinstance(look, Failure) or look.hash != hashed.hash

    def _refuse(self, job: Job, failed: Failed) -> None:
        """A picture that is still being written is no error yet; what was known of it holds no more."""
        young = YOUNG_S - least_age(failed.stamp)
        if failed.failure.kind == "damaged" and young > 0:
            if failed.tried and failed.hash is not None:
                self._again(failed.hash)
            self._put(Result(job, Gone(job.path), again=min(STILL_S, young)))
        else:
            self._put(Result(job, failed))


def _leased(bench: Bench, count: int, slots: ExitStack) -> list[Lease]:
    """So many slots; none where the pipeline ends."""
    leases: list[Lease] = []
    while len(leases) < count:
        if (lease := slots.enter_context(bench.slab.leased())) is None:
            return []
        leases.append(lease)
    return leases


def _decoded(bench: Bench, files: Sequence[Undecoded]) -> Sequence[Metadata | Failure | None]:
    try:
        return bench.decode(files)
    except DecoderLost:
        return [None] * len(files)


def _failed(hashed: Hashed, failure: Failure, tried: bool) -> Failed:
    return Failed(hashed.job.path, hashed.stamp, failure, hashed.hash, tried)


def unreadable(error: OSError) -> Failure:
    return Failure("unreadable", f"it cannot be read: {error.strerror or error}")
