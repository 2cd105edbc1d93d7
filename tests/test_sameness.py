"""What tells a picture again: the hash of its upright pixels, and its tiny copy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from PIL import Image

from imgqd.pictures import sameness
from imgqd.pictures.decode import Decoded, decode
from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import prepare
from imgqd.records import IMPRINT_BYTES, Metadata, PixelSpec
from pictures import painted, png

prepare()
BASE = painted(3, (320, 240))


def known(picture: Image.Image, format: str = "PNG", side: int = 64, **options: Any) -> Metadata:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return decoded(file, side)


def decoded(file: BinaryIO, side: int = 64) -> Metadata:
    found = decode(file, PixelSpec(side, side), Limits())
    assert isinstance(found, Decoded)
    assert found.metadata.imprint is not None
    assert len(found.metadata.imprint) == IMPRINT_BYTES
    return found.metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("strip", [320 * 7, 1 << 18])
def test_upright_pixels_have_one_hash(
    orientation: int, strip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sameness, "_STRIP", strip)
    with open(png(tmp_path / "turned.png", 3, orientation=orientation), "rb") as file:
        assert decoded(file).pixels == known(BASE).pixels


@pytest.mark.parametrize(
    ("format", "options"),
    [("BMP", {}), ("TIFF", {}), ("PPM", {}), ("WEBP", {"lossless": True, "exact": True})],
)
def test_the_format_is_no_matter(format: str, options: dict[str, object]) -> None:
    assert known(BASE, format, **options).pixels == known(BASE).pixels


def test_modes_that_look_the_same_are_the_same() -> None:
    assert known(BASE.convert("RGBA")).pixels == known(BASE).pixels
    few = BASE.quantize(32)
    assert known(few, "GIF").pixels == known(few.convert("RGB")).pixels
    gray = BASE.convert("L")
    assert known(gray).pixels == known(gray.convert("RGB")).pixels


def test_one_pixel_one_step_or_its_transparency_makes_another() -> None:
    other = BASE.copy()
    red, green, blue = other.getpixel((7, 9))  # type: ignore[misc]
    other.putpixel((7, 9), (red ^ 1, green, blue))
    assert known(other).pixels != known(BASE).pixels
    clear = BASE.convert("RGBA")
    clear.putpixel((7, 9), (red, green, blue, 254))
    assert known(clear).pixels != known(BASE).pixels
    deep = Image.new("I;16", (50, 40), 300)
    deeper = Image.new("I;16", (50, 40), 301)
    assert known(deep).pixels != known(deeper).pixels
    assert known(BASE.resize((240, 320))).pixels != known(BASE).pixels


def test_a_jpeg_agrees_with_itself_in_another_wrapping() -> None:
    # So large that it is decoded smaller.
    plain = known(painted(4, (1600, 1200)), "JPEG", quality=80)
    noted = Image.Exif()
    noted[0x010E] = "a note"
    again = known(painted(4, (1600, 1200)), "JPEG", quality=80, exif=noted)
    assert plain.pixels == again.pixels
    assert known(painted(4, (1600, 1200)), "JPEG", quality=79).pixels != plain.pixels


def test_a_tiny_copy_hangs_on_neither_size_nor_the_model() -> None:
    large, small = known(BASE.resize((1280, 960)), side=224), known(BASE, side=64)
    assert large.imprint
    assert small.imprint
    apart = [abs(one - other) for one, other in zip(large.imprint, small.imprint, strict=True)]
    assert sum(apart) < len(apart)
