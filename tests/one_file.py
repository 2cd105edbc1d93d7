"""A decoder's work on a single file, and the end of one at one of several."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import TypeVar

from imgqd.pictures.handle import Decoder, DecoderLost
from imgqd.pictures.messages import Look, Undecoded, Unseen
from imgqd.records import Failure, Metadata

File = TypeVar("File", Unseen, Undecoded)
Answer = TypeVar("Answer")


def looked(decoder: Decoder, descriptor: int, name: bytes = b"") -> Look | Failure:
    (look,) = decoder.look([Unseen(descriptor, name)])
    return look


def decoded(decoder: Decoder, descriptor: int, slot: int = 0) -> Metadata | Failure:
    (found,) = decoder.decode([Undecoded(descriptor, slot)])
    return found


def dying_at(
    job: Callable[[Decoder, Sequence[File]], list[Answer]],
    decoder: Decoder,
    files: Sequence[File],
    number: int,
) -> list[Answer]:
    """The job on several files, of which that one is the decoder's end, when it has got it."""
    done = job(decoder, files[:number]) if number else []
    await_ring = decoder._child.await_ring

    def killed(watch: Callable[[float], bool], is_one: bool) -> None:
        os.kill(decoder.pid, signal.SIGKILL)
        await_ring(watch, is_one)

    # So that it does not answer before.
    os.kill(decoder.pid, signal.SIGSTOP)
    decoder._child.await_ring = killed  # type: ignore[method-assign]
    try:
        return done + job(decoder, files[number:])
    except DecoderLost as lost:
        lost.done = [*done, *lost.done]
        raise
