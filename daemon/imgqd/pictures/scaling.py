"""From an opened picture to an upright one of the size that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile

from imgqd.pictures.geometry import Layout, Size
from imgqd.pictures.jpeg2000 import skippable
from imgqd.pictures.opening import Opened

# JPEG and JPEG 2000 are decoded at no less than this many times the size that is wanted: the
# embedding's cosine to that of the whole picture stays above .9999, in a fifth of the time.
DRAFT = 2

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))


def scaled(
    picture: Opened, layout: Layout, resample: Image.Resampling, alpha: bool = False
) -> Image.Image:
    """The part of the picture that is seen, resized, upright; the corner is left to the caller.

    The mode is "L" or "RGB", or "RGBA" where `alpha` is asked for and the picture has it.
    Transparency is dropped otherwise, and before resizing, as by open_clip's own loader
    (`.convert("RGB")`).
    """
    turn = UPRIGHT.get(picture.orientation)
    whole, seen, size = (picture.width, picture.height), layout.seen, layout.size
    if picture.turned:
        whole, seen, size = whole[::-1], seen[::-1], size[::-1]
    draft = _draft(
        picture.image, whole, (size[0] * whole[0] / seen[0], size[1] * whole[1] / seen[1])
    )
    image = _eight_bits(picture.image, alpha)
    image = image.resize(size, resample, draft.box(whole, seen, image.size))
    # A turned small picture equals a small turned one, at a fraction of the work and the memory.
    return image if turn is None else image.transpose(turn)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A decoder makes the picture `scale` times smaller, and its pixels lie `shift` further on."""

    scale: float = 1.0
    shift: float = 0.0

    def box(self, whole: Size, seen: Size, made: Size) -> tuple[float, float, float, float]:
        """Where the part that is seen, in the middle of the whole, lies in what was made."""
        left, top = ((whole[side] - seen[side]) / 2 for side in (0, 1))
        right, bottom = left + seen[0], top + seen[1]
        return (
            left / self.scale + self.shift,
            top / self.scale + self.shift,
            min(right / self.scale + self.shift, made[0]),
            min(bottom / self.scale + self.shift, made[1]),
        )


def _draft(image: Image.Image, whole: Size, wanted: tuple[float, float]) -> _Draft:
    """Has the decoder make the picture smaller where its format can.

    Sizes are rounded up to whole pixels, so the scale is not quite the quotient of the sizes.
    """
    size = (max(1, int(DRAFT * wanted[0])), max(1, int(DRAFT * wanted[1])))
    if isinstance(image, JpegImageFile) and (drafted := image.draft(None, size)):
        return _Draft(whole[0] / drafted[1][2])
    if isinstance(image, Jpeg2KImageFile) and image.fp is not None:
        factor = min(whole[0] / size[0], whole[1] / size[1])
        skip = skippable(cast(BinaryIO, image.fp), whole, factor)
        image.reduce = skip
        # A level keeps every other pixel, where a JPEG's block gives the mean of its pixels.
        return _Draft(1 << skip, 0.5 - 0.5 / (1 << skip))
    return _Draft()


def _eight_bits(image: Image.Image, alpha: bool) -> Image.Image:
    """The decoded picture in a mode that can be resized and shown; no copy where none is needed."""
    image.load()
    if image.mode in ("RGB", "L"):
        # A color may still be declared transparent.
        return image.convert("RGBA") if alpha and "transparency" in image.info else image
    if image.mode in _SIXTEEN_BITS or image.mode in ("I", "F"):
        return _toned(image)
    if alpha and image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _toned(image: Image.Image) -> Image.Image:
    """Deep gray as 8 bits: scaled, where a plain conversion clips nearly all of it to white."""
    kind = image.mode
    deep = image.convert("F")
    low, high = deep.getextrema()
    if not isinstance(low, float) or not isinstance(high, float):
        raise ValueError("damaged gray values")
    if kind in _SIXTEEN_BITS or (kind == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif kind == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    factor = 255 / ((high - low) or 1.0)
    # Half a step more, for the conversion cuts off.
    return deep.point(lambda value: value * factor + (0.5 - low * factor)).convert("L")
