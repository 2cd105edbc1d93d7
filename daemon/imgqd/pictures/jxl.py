"""JPEG XL, where the extra imgq[jxl] is installed: its decoder knows no limits, so its header is read here.

After ISO 18181-1 (SizeHeader) and 18181-2 (boxes).
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from PIL import Image

from imgqd.pictures.limits import Limits
from imgqd.pictures.refusal import Refused, too_many_pixels
from imgqd.pictures.room import require_room

try:
    from pillow_jxl import Decoder
except ImportError:
    Decoder = None

# libjxl takes so many bytes a pixel: four numbers, each of four bytes.
_DEPTH = 16
_CODESTREAM = b"\xff\x0a"
_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_MODES = frozenset(("RGB", "RGBA", "L", "LA"))


def is_installed() -> bool:
    return Decoder is not None


def opened(file: BinaryIO, limits: Limits) -> Image.Image:
    """The picture, decoded, unless it is a JPEG that was packed without loss: that one is as any JPEG.

    Raises Refused, MemoryError, and ValueError where its header is damaged.
    """
    file.seek(0)
    data = file.read()
    width, height = size(data)
    if width * height > limits.pixels("JXL"):
        raise too_many_pixels(width * height, "JXL", limits)
    try:
        was_jpeg, info, pixels, _, boxes = Decoder(num_threads=0)(data)
    except Exception as error:
        require_room(_DEPTH * width * height)
        raise Refused("damaged", "its JPEG XL data is damaged") from error
    except BaseException as error:  # a panic in Rust is no Exception
        raise Refused("damaged", "its JPEG XL data is damaged") from error
    if was_jpeg:
        return Image.open(io.BytesIO(pixels), formats=["JPEG"])
    if info.mode not in _MODES:
        raise Refused("unsupported", f"a kind of JPEG XL that cannot be decoded: {info.mode}")
    image = Image.frombytes(info.mode, (info.width, info.height), pixels)
    # The decoder has turned it upright already; the notes say how it lay.
    notes = next((bytes(box.data) for box in boxes if bytes(box.box_type) == b"Exif"), b"")
    # An offset comes before them in the file.
    start = max(notes.find(magic, 0, 8) for magic in (b"II*\0", b"MM\0*"))
    if start >= 0:
        image.info["exif"] = b"Exif\0\0" + notes[start:]
    xmp = next((bytes(box.data) for box in boxes if bytes(box.box_type) == b"xml "), None)
    if xmp:
        image.info["xmp"] = xmp
    return image


def size(data: bytes) -> tuple[int, int]:
    """Width and height by the header. Raises ValueError."""
    start = _codestream(data)
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = _RATIOS[take(3)]
    width = height * ratio[0] // ratio[1] if ratio else side()
    return width, height


def _codestream(data: bytes) -> int:
    """Where it begins, bare or in a box."""
    at = 0
    while not data.startswith(_CODESTREAM, at):
        try:
            length, kind = struct.unpack_from(">I4s", data, at)
            head = 8
            if length == 1:
                (length,) = struct.unpack_from(">Q", data, at + 8)
                head = 16
        except struct.error:
            raise ValueError("it has no picture") from None
        if kind in (b"jxlc", b"jxlp"):
            at += head + (4 if kind == b"jxlp" else 0)
            if not data.startswith(_CODESTREAM, at):
                raise ValueError("its picture has no beginning")
        elif length < head:
            raise ValueError("its boxes are damaged")
        else:
            at += length
    return at
