"""Pictures as bytes of pixels, put side by side without a library."""

from __future__ import annotations

from imgq.record import Record, binary, integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 64 << 20


class Box(Record):
    width: int = integer(1)
    height: int = integer(1)


class Pixels(Record):
    """Red, green, blue, a byte each, row by row from the top."""

    width: int = integer(1)
    height: int = integer(1)
    rgb: bytes = binary(most=_MOST)


class Canvas(Record):
    """Red, green, blue, opacity (0 or 255), a byte each, row by row from the top."""

    width: int = integer(1)
    height: int = integer(1)
    rgba: bytes = binary(most=_MOST)

    def row(self, number: int) -> bytes:
        return self.rgba[number * self.width * 4 : (number + 1) * self.width * 4]


def read(ppm: bytes) -> Pixels:
    """The picture of a binary PPM without comments, as the daemon's decoders write it."""
    _, size, _, rgb = ppm.split(b"\n", 3)
    width, height = map(int, size.split())
    return Pixels(width=width, height=height, rgb=rgb)


def composed(pictures: Sequence[Pixels | None], box: Box, gap: int) -> Canvas:
    """The pictures from left to right, each in the middle of its box, cut where it is larger."""
    width = len(pictures) * (box.width + gap) - gap
    rgba = bytearray(width * box.height * 4)
    for place, picture in enumerate(pictures):
        if picture is not None:
            _put(rgba, width, picture, (place * (box.width + gap), box))
    return Canvas(width=width, height=box.height, rgba=bytes(rgba))


def _put(rgba: bytearray, width: int, picture: Pixels, where: tuple[int, Box]) -> None:
    left, box = where
    wide, high = min(picture.width, box.width), min(picture.height, box.height)
    left += (box.width - wide) // 2
    top = (box.height - high) // 2
    opaque = b"\xff" * wide
    for number in range(high):
        start = number * picture.width * 3
        line = picture.rgb[start : start + wide * 3]
        at = ((top + number) * width + left) * 4
        for channel in range(3):
            rgba[at + channel : at + wide * 4 : 4] = line[channel::3]
        rgba[at + 3 : at + wide * 4 : 4] = opaque
