"""A decoder and the memory that its pixels go to: what a lane works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from imgqd.embedder.slab import Slab
from imgqd.health.stages import Stages
from imgqd.pictures.handle import Decoder, DecoderLost
from imgqd.pictures.messages import Look, Unseen
from imgqd.records import Failure, Metadata, Notes

Answer = TypeVar("Answer")


class Bench:
    """lost: why the decoder is gone, once it is. A picture that it was lost on has failed; where it was
    gone before, DecoderLost is raised, and the work is another decoder's."""

    def __init__(self, decoder: Decoder, slots: int, stages: Stages) -> None:
        self.decoder = decoder
        self._stages = stages
        self.slab = Slab(decoder.slab, slots)
        self.lost: DecoderLost | None = None

    def look(self, files: Sequence[Unseen]) -> list[Look | Failure]:
        """Of several that a decoder was lost on, nobody knows which it was: DecoderLost is raised."""
        with self._stages.timed("read", len(files)):
            try:
                return self.decoder.look(files)
            except DecoderLost as error:
                self.lost = error
                if len(files) > 1 or not error.at_work:
                    raise
                return [error.failure]

    def decode(self, descriptor: int, slot: int) -> Metadata | Failure:
        with self._stages.timed("decode"):
            return self._tried(lambda: self.decoder.decode(descriptor, slot))

    def sidecar(self, descriptor: int) -> Notes | Failure | None:
        return self._tried(lambda: self.decoder.sidecar(descriptor))

    def thumbnail(self, descriptor: int, longest: int, form: str) -> bytes | Failure:
        return self._tried(lambda: self.decoder.thumbnail(descriptor, longest, form))

    def _tried(self, job: Callable[[], Answer | Failure]) -> Answer | Failure:
        try:
            return job()
        except DecoderLost as error:
            self.lost = error
            if not error.at_work:
                raise
            return error.failure
