"""A decoder and the memory that its pixels go to: what a lane works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from imgq.errors import CannotStart
from imgqd.embedder.slab import Slab
from imgqd.health.stages import Stages
from imgqd.pictures.handle import Decoder, DecoderLost
from imgqd.pictures.messages import Look, Undecoded, Unseen
from imgqd.records import Failure, Metadata, Notes

Answer = TypeVar("Answer")


class Bench:
    """lost: why the decoder is gone, once it is. A picture that it was lost on has failed; where it was
    gone before, DecoderLost is raised, and the work is another decoder's."""

    def __init__(self, decoder: Decoder, slots: int, stages: Stages) -> None:
        self.decoder = decoder
        self._stages = stages
        try:
            self.slab = Slab(decoder.slab, slots)
        except OSError as error:
            decoder.close()
            raise CannotStart(f"a decoder of pictures has no memory: {error}") from error
        self.lost: DecoderLost | None = None

    def look(self, files: Sequence[Unseen]) -> list[Look | Failure | None]:
        """None: not looked at, for the decoder was lost on another."""
        with self._stages.timed("read", len(files)):
            return self._each(lambda: self.decoder.look(files), len(files))

    def decode(self, files: Sequence[Undecoded]) -> list[Metadata | Failure | None]:
        """None: not decoded, for the decoder was lost on another."""
        with self._stages.timed("decode", len(files)):
            return self._each(lambda: self.decoder.decode(files), len(files))

    def look_at(self, file: Unseen) -> Look | Failure:
        (seen,) = self.look([file])
        assert seen is not None
        return seen

    def decode_one(self, file: Undecoded) -> Metadata | Failure:
        (found,) = self.decode([file])
        assert found is not None
        return found

    def sidecar(self, descriptor: int) -> Notes | Failure | None:
        return self._each(lambda: [self.decoder.sidecar(descriptor)], 1)[0]

    def thumbnail(self, descriptor: int, longest: int, form: str) -> bytes | Failure:
        (drawn,) = self._each(lambda: [self.decoder.thumbnail(descriptor, longest, form)], 1)
        assert drawn is not None
        return drawn

    def _each(self, job: Callable[[], list[Answer]], count: int) -> list[Answer | Failure | None]:
        try:
            return [*job()]
        except DecoderLost as error:
            self.lost = self.lost or error
            if not error.at_work:
                raise
            found = [*error.done, error.failure]
            return found + [None] * (count - len(found))
