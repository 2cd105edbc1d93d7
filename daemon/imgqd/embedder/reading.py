"""From a path to pixels in a decoder's memory, or to a result."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgq.errors import StoreError
from imgqd.embedder.ages import is_trusted, least_age
from imgqd.embedder.disks import Disks, OpenFile, SilentDisk
from imgqd.embedder.jobs import Decoded, Hashed, Job, Result, Turn
from imgqd.manners.precedence import give_way
from imgqd.pictures.formats import is_picture_name, is_sidecar_name
from imgqd.pictures.messages import Look, Unseen
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
# Several files are looked at together where each is small: who waits for the first waits little longer.
SMALL_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where work goes on: to the embedder, or straight to the results."""

    decoded: queue.PriorityQueue[Turn]
    put: Callable[[Result], None]
    twins: Twins


@dataclass(frozen=True, slots=True)
class Begun:
    """A job whose file is open, or why it is not. trusted: whether its stamp can belong to no other bytes.
    look: None where there is nothing to look at."""

    job: Job
    file: OpenFile | SilentDisk | OSError
    trusted: bool = False
    look: Look | Failure | None = None


class Reader:
    """For all lanes together."""

    def __init__(self, memory: Memory, disks: Disks, outlets: Outlets) -> None:
        self._memory = memory
        self._disks = disks
        self._out = outlets

    def goes_with_others(self, job: Job) -> bool:
        """Whether others may be looked at together with it: from far away each may keep them waiting."""
        return job.stamp.size <= SMALL_BYTES and not self._memory.is_remote(job.path)

    @contextmanager
    def begun(self, bench: Bench, jobs: Collection[Job]) -> Iterator[list[Begun]]:
        """Opens files and has them looked at, together. Raises DecoderLost where all of that is another
        decoder's to do."""
        give_way()
        with ExitStack() as files:
            yield _looked(bench, [self._opened(job, files) for job in jobs])

    def _opened(self, job: Job, files: ExitStack) -> Begun:
        try:
            file = files.enter_context(self._disks.opened(job.path, job.stamp.device))
        except (SilentDisk, OSError) as error:
            return Begun(job, error)
        return Begun(job, file, is_trusted(Stamp.of(file.at_first)))

    def finish(self, bench: Bench, begun: Begun) -> None:
        """Raises DecoderLost where the job is another decoder's to do."""
        give_way()
        job = begun.job
        try:
            if isinstance(begun.file, Exception):
                raise begun.file
            self._go_on(bench, begun, begun.file)
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

    def _go_on(self, bench: Bench, begun: Begun, file: OpenFile) -> None:
        job, look, stamp = begun.job, begun.look, Stamp.of(file.at_first)
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
        else:
            self._hashed(bench, file, Hashed(job, stamp, look.hash, begun.trusted))

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
        (look,) = bench.look([_unseen(job, file)])
        return None if isinstance(look, Failure) else look.hash

    def _refuse(self, job: Job, failed: Failed) -> None:
        """A picture that is still being written is no error yet; what was known of it holds no more."""
        young = YOUNG_S - least_age(failed.stamp)
        if failed.failure.kind == "damaged" and young > 0:
            if failed.tried and failed.hash is not None:
                self._again(failed.hash)
            self._put(Result(job, Gone(job.path), again=min(STILL_S, young)))
        else:
            self._put(Result(job, failed))


def _looked(bench: Bench, opened: Sequence[Begun]) -> list[Begun]:
    """With a look at each that has bytes to look at."""
    unseen = {
        each.job: _unseen(each.job, each.file)
        for each in opened
        if isinstance(each.file, OpenFile) and _has_bytes(each.job, each.file)
    }
    looks = dict(zip(unseen, bench.look([*unseen.values()]) if unseen else (), strict=True))
    return [replace(each, look=looks.get(each.job)) for each in opened]


def _has_bytes(job: Job, file: OpenFile) -> bool:
    """Of an empty sidecar it counts that it says nothing."""
    status = file.at_first
    return is_regular(status) and (status.st_size > 0 or is_sidecar_name(job.path))


def _unseen(job: Job, file: OpenFile) -> Unseen:
    return Unseen(file.descriptor, os.path.basename(job.path), file.at_first.st_size)


def _failed(hashed: Hashed, failure: Failure, tried: bool) -> Failed:
    return Failed(hashed.job.path, hashed.stamp, failure, hashed.hash, tried)


def unreadable(error: OSError) -> Failure:
    return Failure("unreadable", f"it cannot be read: {error.strerror or error}")
