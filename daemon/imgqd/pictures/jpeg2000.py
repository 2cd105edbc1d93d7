"""JPEG 2000 keeps a picture in levels of detail; what is not needed need not be decoded.

A large one takes 28 bytes a pixel when it is decoded whole, beyond what a decoder may have.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_HEAD_BYTES = 1 << 18
_START = b"\xff\x4f\xff\x51"
_CODING, _COMPONENT, _TILE = 0xFF52, 0xFF53, 0xFF90
_FIRST_MARKER = 2
_OFFSETS = 16


def skippable(file: BinaryIO, size: tuple[int, int], factor: float) -> int:
    """How many levels to skip for a picture of `size` that may be decoded `factor` times smaller.

    Each halves both sides. Reads the file's head; the file's position is not kept. Raises EOFError where
    the file ends before any pixel.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES and head.endswith(_TILE.to_bytes(2, "big")):
        # The one end that OpenJPEG takes for a black picture.
        raise EOFError("truncated before the first tile")
    skip = _levels(head)
    while skip > 0 and (1 << skip > factor or not _rounds_alike(size, 1 << skip)):
        skip -= 1
    return skip


def _levels(head: bytes) -> int:
    """The levels below the first, after ISO 15444-1 annex A; 0 where that is not plain to see."""
    start = head.find(_START)
    try:
        if start < 0 or struct.unpack_from(">2I", head, start + _OFFSETS) != (0, 0):
            return 0
        at, levels = start + _FIRST_MARKER, 0
        while (marker := struct.unpack_from(">H", head, at)[0]) != _TILE:
            if marker == _COMPONENT:  # each component may have its own
                return 0
            if marker == _CODING:
                levels = head[at + 9]
            at += 2 + struct.unpack_from(">H", head, at + 2)[0]
        return min(levels, 32)
    except (struct.error, IndexError):
        return 0


def _rounds_alike(size: tuple[int, int], power: int) -> bool:
    """Pillow rounds the smaller size where the format rounds up, and fails where they differ."""
    return all(side % power == 0 or side % power >= power / 2 for side in size)
