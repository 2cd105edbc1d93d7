"""Pictures that are small until somebody decodes them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image

from pictures import encoded, painted

MEGABYTE = 1 << 20
_BASELINE, _PROGRESSIVE = 0xC0, 0xC2


def png(width: int, height: int, bits: int = 8, samples: int = 3, notes: bytes = b"") -> bytes:
    """A black PNG, `notes` before its pixels."""
    color = {1: 0, 3: 2, 4: 6}[samples]
    row = 1 + (width * bits * samples + 7) // 8
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = chunk(b"IHDR", head), notes, chunk(b"IDAT", zeros(row * height)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    """So many zeros, compressed, and without making them."""
    squeezed = zlib.compressobj(9, wbits=-15)
    first = squeezed.compress(bytes(MEGABYTE)) + squeezed.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    rest = last.compress(bytes(count % MEGABYTE)) + last.flush()
    sums = struct.pack(">I", count % 65521 << 16 | 1)
    return b"\x78\xda" + first * (count // MEGABYTE) + rest + sums


def profile(size: int) -> bytes:
    """A color profile for a PNG."""
    return chunk(b"iCCP", b"profile\0\0" + zeros(size))


def texts(count: int, size: int) -> bytes:
    return b"".join(chunk(b"zTXt", b"text %d\0\0" % each + zeros(size)) for each in range(count))


def jpeg(width: int, height: int) -> bytes:
    """A gray JPEG as phones make them: three components, the colors at half size."""
    blocks = -(-width // 16) * -(-height // 16)
    parts = b"\1\x22\0" + b"\2\x11\0" + b"\3\x11\0"
    # Each block is one bit for "the same as before", and one for "no more".
    pixels = _segment(0xDA, b"\3\1\0\2\0\3\0" + bytes((0, 63, 0))) + bytes(-(-blocks * 12 // 8))
    return _jpeg(_BASELINE, width, height, parts, 0x00) + pixels + b"\xff\xd9"


def scans(side: int, count: int) -> bytes:
    """A square gray progressive JPEG of so many scans, each of which says "the same" of 16,384 blocks
    with 15 bits, and goes through them all."""
    blocks = (-(-side // 8)) ** 2
    first = _segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    scan = _segment(0xDA, b"\1\1\0\1\x3f\0") + bytes(-(-blocks // 16384) * 15 // 8 + 1)
    return (
        _jpeg(_PROGRESSIVE, side, side, b"\1\x11\0", 0xE0)
        + first
        + scan * (count - 1)
        + b"\xff\xd9"
    )


def _jpeg(kind: int, width: int, height: int, components: bytes, symbol: int) -> bytes:
    """All before the scans; each of the two codes has one symbol, a zero bit."""
    count = len(components) // 3
    frame = struct.pack(">BHHB", 8, height, width, count) + components
    code = bytes([1] + [0] * 15)
    return (
        b"\xff\xd8"
        + _segment(0xDB, b"\0" + bytes([1] * 64))
        + _segment(kind, frame)
        + _segment(0xC4, b"\x00" + code + b"\0")
        + _segment(0xC4, b"\x10" + code + bytes([symbol]))
    )


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of one color: a code of one symbol takes no bits."""
    # No transform, no color cache, no codes by place; then green, red, blue, alpha and distance.
    fields = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1 + 3), (0, 3)]
    fields += [(0b101 | symbol << 3, 3 + 8) for symbol in (10, 200, 30, 255, 0)]
    bits = at = 0
    for value, length in fields:
        bits |= value << at
        at += length
    data = bits.to_bytes(-(-at // 8), "little")
    # Some room behind, for whoever reads ahead.
    data = data.ljust(len(data) + 9 & ~1, b"\0")
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(frames: int) -> bytes:
    one = encoded(painted(1, (500, 400)).quantize(64), "GIF")
    # The logical screen and its palette, then the frame, then the trailer.
    head = 13 + 3 * 2 ** ((one[10] & 7) + 1)
    return one[:head] + one[head:-1] * frames + one[-1:]


def tiff_with_profile(path: Path, size: int) -> None:
    """A TIFF whose color profile is a hole in the file."""
    pixels, hole = 1024, 4096
    entries = (
        (256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, pixels), (277, 3, 1, 1), (278, 4, 1, 16), (279, 4, 1, 256),
        (34675, 7, size, hole),
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<IH", 8, len(entries)))
        for entry in entries:
            file.write(struct.pack("<HHII", *entry))
        file.truncate(hole + size)


def write(folder: Path) -> None:
    """All of them, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    small = painted(1, (64, 64))
    assert isinstance(small, Image.Image)
    for name, data in {
        "178-megapixels.png": png(13341, 13341),
        "178-megapixels-of-one-bit.png": png(13341, 13341, bits=1, samples=1),
        "strip.png": png(178_000_000, 1, samples=1),
        "400-megapixels.png": png(20000, 20000),
        "64-megapixels.png": png(8000, 8000),
        "64-deep-megapixels.png": png(8000, 8000, bits=16, samples=4),
        "64-megapixels.webp": webp(8000, 8000),
        "profile.png": png(64, 64, notes=profile(200 * MEGABYTE)),
        "texts.png": png(64, 64, notes=texts(60, 1_000_000)),
        "frames.gif": gif(300),
        "scans.jpg": scans(4000, 1000),
    }.items():
        (folder / name).write_bytes(data)
    tiff_with_profile(folder / "profile.tif", 200 * MEGABYTE)
