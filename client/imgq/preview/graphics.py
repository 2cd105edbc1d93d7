"""Pictures for terminals that take a PNG: kitty's protocol, and iTerm2's.

https://sw.kovidgoyal.net/kitty/graphics-protocol, https://iterm2.com/documentation-images.html
"""

from __future__ import annotations

from binascii import b2a_base64
from zlib import compress, crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.preview.pixels import Box, Canvas

_CHUNK = 4096
# Of those who are near: a terminal on this machine has no use for a smaller picture.
_LEVEL = 1


def kitty(canvas: Canvas, cells: Box) -> bytes:
    """Shown over so many cells; the terminal is asked for no answer."""
    data = b2a_base64(png(canvas), newline=False)
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    keys = b"a=T,f=100,q=2,c=%d,r=%d," % (cells.width, cells.height)
    parts = []
    for place, chunk in enumerate(chunks):
        more = place < len(chunks) - 1
        parts.append(b"\x1b_G%sm=%d;%s\x1b\\" % (keys if not place else b"", more, chunk))
    return b"".join(parts)


def iterm(canvas: Canvas, cells: Box) -> bytes:
    """Shown over so many cells."""
    data = png(canvas)
    keys = b"inline=1;preserveAspectRatio=0;size=%d;width=%d;height=%d" % (
        len(data),
        cells.width,
        cells.height,
    )
    return b"\x1b]1337;File=%s:%s\x07" % (keys, b2a_base64(data, newline=False))


def png(canvas: Canvas) -> bytes:
    """The canvas as a PNG of 8 bits a channel, its rows unfiltered."""
    size = canvas.width.to_bytes(4, "big") + canvas.height.to_bytes(4, "big")
    rows = b"".join(b"\0" + canvas.row(number) for number in range(canvas.height))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _part(b"IHDR", size + b"\x08\x06\0\0\0"),
            _part(b"IDAT", compress(rows, _LEVEL)),
            _part(b"IEND", b""),
        )
    )


def _part(kind: bytes, data: bytes) -> bytes:
    whole = kind + data
    return len(data).to_bytes(4, "big") + whole + crc32(whole).to_bytes(4, "big")
