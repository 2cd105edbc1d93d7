"""Small upright pictures for people to look at."""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image

from imgqd.pictures.geometry import fitted
from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import identify, opened
from imgqd.pictures.refusal import refusal
from imgqd.pictures.scaling import scaled
from imgqd.records import Failure

_QUALITY = 80
_BEHIND = (255, 255, 255)


def thumbnail(file: BinaryIO, longest: int, limits: Limits) -> bytes | Failure:
    """A JPEG of the picture in an open file: upright, neither side above `longest` pixels, never
    enlarged, white where it is transparent, without metadata.

    Never raises for what is in the file. `opening.prepare` must have been called.
    """
    format = "picture"
    try:
        format = identify(file)
        with opened(file, format, limits) as picture:
            plan = fitted(picture.width, picture.height, longest)
            image = scaled(picture, plan, Image.Resampling.BICUBIC, alpha=True)
        return _jpeg(image)
    except Exception as error:  # a decoder may raise anything; the caller is told
        return refusal(error, format, limits)


def _jpeg(image: Image.Image) -> bytes:
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, _BEHIND)
        paper.paste(image, mask=image)
        image = paper
    file = io.BytesIO()
    # A resized picture still carries its file's notes; Pillow would write some of them.
    image.info = {}
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
