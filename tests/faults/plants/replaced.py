"""Planted in a daemon: a file is written over after it was hashed and before it is decoded, by the bytes of
the file "other" beside IMGQ_HOME. Its size and its time stay, and "other" is no more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fake_embedder import FakeTexts
from imgqd.pictures.handle import Decoder
from imgqd.pictures.messages import Undecoded
from imgqd.records import Failure, Metadata

__all__ = ["FakeTexts"]

_decode = Decoder.decode


def _late(self: Decoder, files: Sequence[Undecoded]) -> list[Metadata | Failure]:
    other = Path(os.environ["IMGQ_HOME"]).with_name("other")
    if other.exists():
        path = os.readlink(f"/proc/self/fd/{files[0].descriptor}")
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(other.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.unlink()
    return _decode(self, files)


Decoder.decode = _late  # type: ignore[method-assign]
