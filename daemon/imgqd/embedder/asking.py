"""What a person waits for: the embedding of a query's picture, and thumbnails."""

from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING

from imgqd.embedder.disks import Disks, OpenFile, SilentDisk
from imgqd.embedder.jobs import Asked, Decoded, Noting, QueryPicture, QueryVector, ThumbnailOf, Turn
from imgqd.embedder.reading import unreadable
from imgqd.pictures.messages import Undecoded, Unseen
from imgqd.records import Failure, Noted, Stamp, is_regular

if TYPE_CHECKING:
    from imgqd.embedder.bench import Bench
    from imgqd.embedder.memory import Memory

_SILENT = Failure("unreadable", "its disk does not answer")
_NOT_KNOWN = Failure("unreadable", "something else is there than what the index knows")
_CHANGING = Failure("unreadable", "it was written to while it was read")
_NO_PICTURE = Failure("unsupported", "the file is no picture that imgq knows")


class Asker:
    """For all lanes together. Each method raises DecoderLost where the work is another decoder's to do."""

    def __init__(self, memory: Memory, disks: Disks, decoded: queue.PriorityQueue[Turn]) -> None:
        self._memory = memory
        self._disks = disks
        self._decoded = decoded

    def query(self, bench: Bench, work: QueryPicture) -> None:
        size = os.fstat(work.descriptor).st_size
        look = bench.look_at(Unseen(work.descriptor, size=size))
        if isinstance(look, Failure):
            self.fail(work, look)
        elif look.hash is None:
            self.fail(work, _NO_PICTURE)
        elif (vector := self._memory.vector(look.hash)) is not None:
            os.close(work.descriptor)
            work.answer.set_result(QueryVector(look.hash, vector))
        else:
            self._decode(bench, Asked(work, look.hash))

    def _decode(self, bench: Bench, asked: Asked) -> None:
        with bench.slab.leased() as lease:
            if lease is None:
                return
            metadata = bench.decode_one(Undecoded(asked.job.descriptor, lease.slot))
            if isinstance(metadata, Failure):
                self.fail(asked.job, metadata)
                return
            os.close(asked.job.descriptor)
            lease.kept = True
            self._decoded.put(Turn.of(Decoded(asked, metadata, lease.slab, lease.slot)))

    def thumbnail(self, bench: Bench, work: ThumbnailOf) -> None:
        drawn: bytes | Failure
        try:
            with self._disks.opened(work.path) as file:
                if self._is_elsewhere(work.path) or not is_regular(file.at_first):
                    drawn = _NOT_KNOWN
                else:
                    drawn = bench.thumbnail(file.descriptor, work.longest, work.form)
        except SilentDisk:
            drawn = _SILENT
        except OSError as error:
            drawn = unreadable(error)
        work.answer.set_result(drawn)

    def _is_elsewhere(self, path: bytes) -> bool:
        """What was a folder when the file was indexed may be a link by now, out of every root."""
        return not self._memory.follow_symlinks and self._memory.leads_elsewhere(path)

    def note(self, bench: Bench, work: Noting) -> None:
        try:
            with self._disks.opened(work.path) as file:
                found = self._noted(bench, file, os.path.basename(work.path))
        except SilentDisk:
            found = _SILENT
        except OSError as error:
            found = unreadable(error)
        work.answer.set_result(found)

    def _noted(self, bench: Bench, file: OpenFile, name: bytes) -> Noted | Failure:
        look = bench.look_at(Unseen(file.descriptor, name, file.at_first.st_size))
        if isinstance(look, Failure):
            return look
        if look.hash is None:
            return _NO_PICTURE
        with bench.slab.leased() as lease:
            if lease is None:
                return _SILENT
            metadata = bench.decode_one(Undecoded(file.descriptor, lease.slot))
        if isinstance(metadata, Failure) and metadata.kind == "unreadable":
            return metadata
        if Stamp.of(file.status()) != Stamp.of(file.at_first):
            return _CHANGING
        return Noted(look.hash, None if isinstance(metadata, Failure) else metadata)

    def fail(self, work: QueryPicture | ThumbnailOf | Noting, failure: Failure) -> None:
        if isinstance(work, QueryPicture):
            os.close(work.descriptor)
        if not work.answer.done():
            work.answer.set_result(failure)
