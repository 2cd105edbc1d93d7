"""Pictures for terminals that take sixels (DEC's VT340): six rows of pixels a line, color by color.

216 colors of six levels a channel, ordered dithering (Bayer 1973). Whole rows are worked on by what Python
has in C: tables for bytes, and sums of rows as long integers.
"""

from __future__ import annotations

import re
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.preview.pixels import Box, Canvas

_LEVELS = 6
_BAYER = ((0, 8, 2, 10), (12, 4, 14, 6), (3, 11, 1, 9), (15, 7, 13, 5))
_CLEAR = 255
_EMPTY = b"?"
# No answer about the size of pixels, and what is clear stays as it is.
_BEGIN, _END = b"\x1bP0;1;0q", b"\x1b\\"
_FROM_BITS = bytes((bits + 63) % 256 for bits in range(256))
_OPACITY = bytes([_CLEAR]) + bytes(255)


def encoded(canvas: Canvas, cells: Box) -> bytes:
    """As large as the canvas is; terminals show a pixel as a pixel."""
    rows = [_indexed(canvas.row(number), number) for number in range(canvas.height)]
    size = b'"1;1;%d;%d' % (canvas.width, canvas.height)
    bands = (_band(rows[start : start + 6]) for start in range(0, len(rows), 6))
    return _BEGIN + size + _palette() + b"-".join(bands) + _END


def _indexed(rgba: bytes, number: int) -> bytes:
    """The color of each pixel in a row, 0 to 215, or 255 where there is none."""
    width = len(rgba) // 4
    total = int.from_bytes(rgba[3::4].translate(_OPACITY), "big")
    for channel, factor in enumerate((_LEVELS * _LEVELS, _LEVELS, 1)):
        plane, row = rgba[channel::4], bytearray(width)
        for phase, threshold in enumerate(_BAYER[number % 4]):
            row[phase::4] = plane[phase::4].translate(_levels(threshold, factor))
        total += int.from_bytes(row, "big")
    return total.to_bytes(width, "big")


@cache
def _levels(threshold: int, factor: int) -> bytes:
    """From a channel's value to its level, times a factor; a higher threshold rounds up more often."""
    steps = _LEVELS - 1
    return bytes(int(value / 255 * steps + (threshold + 0.5) / 16) * factor for value in range(256))


def _band(rows: list[bytes]) -> bytes:
    """Up to six rows, one color over the other."""
    colors = set().union(*rows) - {_CLEAR}
    return b"$".join(b"#%d%s" % (color, _line(rows, color)) for color in sorted(colors))


def _line(rows: list[bytes], color: int) -> bytes:
    """Where a color is in a band, a byte a column."""
    bits = 0
    for place, row in enumerate(rows):
        bits |= int.from_bytes(row.translate(_bit(color, place)), "big")
    line = bits.to_bytes(len(rows[0]), "big").translate(_FROM_BITS).rstrip(_EMPTY)
    return re.sub(rb"(.)\1{3,}", _repeated, line)


@cache
def _bit(color: int, place: int) -> bytes:
    table = bytearray(256)
    table[color] = 1 << place
    return bytes(table)


def _repeated(run: re.Match[bytes]) -> bytes:
    return b"!%d%s" % (len(run[0]), run[1])


@cache
def _palette() -> bytes:
    shares = [round(level * 100 / (_LEVELS - 1)) for level in range(_LEVELS)]
    colors = [(red, green, blue) for red in shares for green in shares for blue in shares]
    return b"".join(b"#%d;2;%d;%d;%d" % (number, *color) for number, color in enumerate(colors))
