"""From a file to what a model sees of its picture, equal to open_clip's own preprocessing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO

from PIL import Image

from imgqd.pictures.geometry import Layout, layout
from imgqd.pictures.limits import Limits
from imgqd.pictures.metadata import metadata
from imgqd.pictures.opening import identify, opened
from imgqd.pictures.refusal import refusal
from imgqd.pictures.sameness import imprint, pixels
from imgqd.pictures.scaling import scaled
from imgqd.records import Failure, Metadata, PixelSpec


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels`: uint8, (height, width, 3), RGB, in C order."""

    pixels: bytes
    metadata: Metadata


def decode(file: BinaryIO, spec: PixelSpec, limits: Limits) -> Decoded | Failure:
    """The first frame of the picture in an open file, upright, as the model wants it.

    The pixels are those of open_clip's transform on the upright picture in RGB, before it
    normalizes: the same to the bit unless the file is a large JPEG (or JPEG 2000), which is
    decoded smaller, or lies on its side. Never raises for what is in the file. `opening.prepare`
    must have been called.
    """
    format = "picture"
    try:
        format = identify(file)
        with opened(file, format, limits) as picture:
            plan = layout(spec, picture.width, picture.height)
            image = scaled(picture, plan, _resampling(spec))
            found = replace(metadata(picture), pixels=pixels(picture), imprint=imprint(image))
            return Decoded(_framed(image, plan, spec).tobytes(), found)
    except Exception as error:  # a decoder may raise anything; the caller is told
        return refusal(error, format, limits)


def _resampling(spec: PixelSpec) -> Image.Resampling:
    # open_clip does not hand the interpolation on where the frame is not square.
    ignored = spec.resize == "shortest" and spec.width != spec.height
    if spec.interpolation == "bilinear" and not ignored:
        return Image.Resampling.BILINEAR
    return Image.Resampling.BICUBIC


def _framed(image: Image.Image, plan: Layout, spec: PixelSpec) -> Image.Image:
    frame = (spec.width, spec.height)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.size == frame:
        return image
    left, top = plan.corner
    if image.width >= frame[0] and image.height >= frame[1]:
        return image.crop((left, top, left + frame[0], top + frame[1]))
    fill = spec.fill if spec.resize == "longest" else 0
    canvas = Image.new("RGB", frame, (fill, fill, fill))
    canvas.paste(image, (-left, -top))
    return canvas
