"""WebP, for one frame of which Pillow and libwebp hold its pixels four times, and do not say what failed.

After Google's WebP Container Specification.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from imgqd.pictures.room import require_room

_HEAD_BYTES = 30
# libwebp keeps two canvases of so many bytes a pixel each, and decodes into a third.
_DEPTH = 4
# What it takes for a frame beside the pixels.
_ASIDE = 16 << 20


class _Once:
    """In the place of Pillow's handle on libwebp: its canvases go as soon as the frame is there."""

    def __init__(self, decoder: Any, pixels: int) -> None:
        self._decoder = decoder
        self._pixels = pixels

    def get_next(self) -> Any:
        """Raises MemoryError, and OSError where the picture is damaged."""
        try:
            return self._decoder.get_next()
        except OSError:
            require_room(_DEPTH * self._pixels + _ASIDE)
            raise
        finally:
            self._decoder = None


def opened(file: BinaryIO) -> WebPImageFile:
    """A picture whose first frame can be loaded. Raises MemoryError, and whatever Pillow raises."""
    try:
        image = Image.open(file, formats=["WEBP"])
    except OSError:
        require_room(_held(file))
        raise
    assert isinstance(image, WebPImageFile)
    # Another Pillow may keep it elsewhere, and needs more memory then.
    if decoder := getattr(image, "_decoder", None):
        image._decoder = _Once(decoder, image.width * image.height)
    return image


def _held(file: BinaryIO) -> int:
    """The bytes that libwebp keeps of an open file: all of it, and the canvases its header asks for."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(_HEAD_BYTES).ljust(_HEAD_BYTES, b"\0")

    def number(start: int, end: int) -> int:
        return int.from_bytes(head[start:end], "little")

    match head[12:16]:
        case b"VP8X":
            width, height = number(24, 27) + 1, number(27, 30) + 1
        case b"VP8L":
            width, height = (number(21, 25) & 0x3FFF) + 1, (number(21, 25) >> 14 & 0x3FFF) + 1
        case _:
            width, height = number(26, 28) & 0x3FFF, number(28, 30) & 0x3FFF
    return size + 2 * _DEPTH * width * height
