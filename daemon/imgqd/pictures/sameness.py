"""What tells a picture again in another file: a hash of its upright pixels, and a tiny copy of it."""

from __future__ import annotations

from collections.abc import Callable

import xxhash
from PIL import Image

from imgqd.pictures.geometry import Size
from imgqd.pictures.opening import Opened
from imgqd.pictures.scaling import UPRIGHT
from imgqd.records import CHROMA_SIDE, IMPRINT_SIDE

Box = tuple[int, int, int, int]

# Pixels that are looked at together: the picture is never there twice.
_STRIP = 1 << 18
# Where a box of the upright picture, of a size (width, height), lies in the file, by EXIF's orientation.
_LYING: dict[int, Callable[[Box, Size], Box]] = {
    1: lambda box, size: box,
    2: lambda box, size: (size[0] - box[2], box[1], size[0] - box[0], box[3]),
    3: lambda box, size: (size[0] - box[2], size[1] - box[3], size[0] - box[0], size[1] - box[1]),
    4: lambda box, size: (box[0], size[1] - box[3], box[2], size[1] - box[1]),
    5: lambda box, size: (box[1], box[0], box[3], box[2]),
    6: lambda box, size: (box[1], size[0] - box[2], box[3], size[0] - box[0]),
    7: lambda box, size: (size[1] - box[3], size[0] - box[2], size[1] - box[1], size[0] - box[0]),
    8: lambda box, size: (size[1] - box[3], box[0], size[1] - box[1], box[2]),
}


def pixels(picture: Opened) -> bytes:
    """XXH3-128 over the size and all pixels of a picture that is decoded, upright: 16 bytes, equal for
    equal pixels in whatever format. Of a JPEG that was decoded smaller, and of its size then."""
    image = picture.image
    width, height = image.size[::-1] if picture.turned else image.size
    size = f"{picture.width}x{picture.height} {width}x{height}"
    hashed = xxhash.xxh3_128(size.encode())
    rows = max(_STRIP // width, 1)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        strip = (
            image
            if rows >= height
            else image.crop(_LYING[picture.orientation](box, (width, height)))
        )
        strip = _plain(strip)
        if picture.orientation in UPRIGHT:
            strip = strip.transpose(UPRIGHT[picture.orientation])
        hashed.update(strip.mode.encode())
        # As Pillow has it in memory, with a fourth byte that is always 255: that is three times as fast.
        hashed.update(strip.tobytes("raw", "RGBX" if strip.mode == "RGB" else strip.mode))
    return hashed.digest()


def _plain(image: Image.Image) -> Image.Image:
    """In the one mode for such pixels: what is opaque as RGB, what has deep gray as it is, and what is in
    L*a*b*, whose way to RGB would be worked out anew for each strip."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            return image
    deep = image.mode in ("I", "F", "LAB") or image.mode.startswith("I;")
    return image if deep or image.mode == "RGB" else image.convert("RGB")


def imprint(image: Image.Image) -> bytes:
    """The whole picture made tiny: uint8, IMPRINT_SIDE squared of luma, then twice CHROMA_SIDE squared of
    chroma (JPEG's YCbCr)."""
    side = (IMPRINT_SIDE, IMPRINT_SIDE)
    small = image.resize(side, Image.Resampling.BOX)
    if small.mode != "RGB":
        small = small.convert("RGB")
    luma, *chroma = small.convert("YCbCr").split()
    coarse = [part.resize((CHROMA_SIDE, CHROMA_SIDE), Image.Resampling.BOX) for part in chroma]
    return b"".join(part.tobytes() for part in (luma, *coarse))
