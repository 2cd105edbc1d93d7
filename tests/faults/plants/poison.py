"""Planted in a daemon: a picture named …poison.jpg kills its decoder; each time, a file "tried" beside
IMGQ_HOME gets a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fake_embedder import FakeTexts
from imgqd.pictures.handle import Decoder
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failure, Metadata
from one_file import dying_at

__all__ = ["FakeTexts"]

_decode = Decoder.decode


def _dying(self: Decoder, files: Sequence[Undecoded]) -> list[Metadata | Failure]:
    names = [os.readlink(f"/proc/self/fd/{file.descriptor}") for file in files]
    poison = [number for number, name in enumerate(names) if name.endswith("poison.jpg")]
    if poison:
        with open(Path(os.environ["IMGQ_HOME"]).with_name("tried"), "a") as file:
            file.write("tried\n")
        return dying_at(_decode, self, files, poison[0])
    return _decode(self, files)


Decoder.decode = _dying  # type: ignore[method-assign]
