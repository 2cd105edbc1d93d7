"""Planted in a daemon: its decoders do what a picture says of them in its comment (`unruly`), may take
three seconds for it, and serve eight pictures. A file "lost" beside IMGQ_HOME gets the name of each
picture that one was lost on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import unruly

from fake_embedder import FakeTexts
from imgqd.pictures import handle
from imgqd.pictures.handle import Decoder, DecoderLost
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failure, Metadata

__all__ = ["FakeTexts"]

DEADLINE_S = 3.0
_ask = Decoder._ask
_decode = Decoder.decode


def _impatient(self: Decoder, message: Any, descriptor: int, read: Any, _: object = None) -> Any:
    return _ask(self, message, descriptor, read, DEADLINE_S)


def _noted(self: Decoder, files: Sequence[Undecoded]) -> list[Metadata | Failure]:
    try:
        return _decode(self, files)
    except DecoderLost as lost:
        if lost.at_work:
            name = os.readlink(f"/proc/self/fd/{files[len(lost.done)].descriptor}")
            with open(Path(os.environ["IMGQ_HOME"]).with_name("lost"), "a") as file:
                file.write(os.path.basename(name) + "\n")
        raise


Decoder.PROGRAM = (unruly.__file__,)
Decoder._ask = _impatient  # type: ignore[method-assign]
Decoder.decode = _noted  # type: ignore[method-assign]
handle.MOST_PICTURES = 8
