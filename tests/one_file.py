"""A decoder's work on a single file, and what it is told of which of several it is at."""

from __future__ import annotations

import os

from imgqd.pictures.handle import Decoder
from imgqd.pictures.messages import Look, Undecoded, Unseen
from imgqd.records import Failure, Metadata


def looked(decoder: Decoder, descriptor: int, name: bytes = b"") -> Look | Failure:
    (look,) = decoder.look([Unseen(descriptor, name)])
    return look


def decoded(decoder: Decoder, descriptor: int, slot: int = 0) -> Metadata | Failure:
    (found,) = decoder.decode([Undecoded(descriptor, slot)])
    return found


def pretend_at(decoder: Decoder, number: int) -> None:
    """As if the decoder, which is idle or stopped, were at this one of several files."""
    os.pwrite(decoder.slab, bytes([number]), decoder._slab_bytes - 1)
