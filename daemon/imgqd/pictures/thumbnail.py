"""Small upright pictures for people to look at."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from PIL import Image

from imgqd.pictures.geometry import fitted
from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import identify, opened
from imgqd.pictures.refusal import refusal
from imgqd.pictures.scaling import scaled
from imgqd.records import Failure

FORMS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 80, "optimize": True},
    "ppm": {"format": "PPM"},
}
_BEHIND = (255, 255, 255)


def thumbnail(file: BinaryIO, longest: int, limits: Limits, form: str = "jpeg") -> bytes | Failure:
    """The picture in an open file as a JPEG, or as a PPM, whose pixels anything can read: upright,
    neither side above `longest` pixels, never enlarged, white where it is transparent, without metadata.

    Never raises for what is in the file. `opening.prepare` must have been called.
    """
    format = "picture"
    try:
        format = identify(file)
        with opened(file, format, limits) as picture:
            plan = fitted(picture.width, picture.height, longest)
            image = scaled(picture, plan, Image.Resampling.BICUBIC, alpha=True)
        return _encoded(_on_paper(image), FORMS[form])
    except Exception as error:  # a decoder may raise anything; the caller is told
        return refusal(error, format, limits)


def _on_paper(image: Image.Image) -> Image.Image:
    """In colors, white where it is transparent."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    paper = Image.new("RGB", image.size, _BEHIND)
    paper.paste(image, mask=image)
    return paper


def _encoded(image: Image.Image, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    # A resized picture still carries its file's notes; Pillow would write some of them.
    image.info = {}
    image.save(file, **options)
    return file.getvalue()
