"""Pictures of some 300 bytes, thousands a second, each with bytes and a color of its own.

Each may have bytes behind its end, as pictures may: cut or lengthened there it is another picture to a
hash, and a sound one still.
"""

from __future__ import annotations

import random
import struct
import zlib

SIDE = 8
# Behind the end of each picture, to be cut away.
SPARE = 64


def png(number: int) -> bytes:
    """The number-th picture: as long as any other, and of `color(number)` all over."""
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(color(number)) * SIDE) * SIDE
    pieces = [
        _chunk(b"IHDR", head),
        _chunk(b"tEXt", b"Comment\0%020d" % number),
        # Stored, not compressed: the same length whatever the color.
        _chunk(b"IDAT", zlib.compress(rows, 0)),
        _chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces) + b"%0*d" % (SPARE, number)


def color(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a picture, far from the grey that the fake embedder has no direction for."""
    dice = random.Random(number)
    red, green, blue = (dice.choice((0, 255)) ^ dice.randrange(64) for _ in range(3))
    return red, green, blue


def broken(number: int) -> bytes:
    """What begins like a picture and is none."""
    return png(number)[:120]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
