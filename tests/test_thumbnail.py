"""Thumbnails: small, upright, and nothing of the file but its picture."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from imgqd.pictures.limits import Limits
from imgqd.pictures.opening import prepare
from imgqd.pictures.thumbnail import thumbnail
from imgqd.records import Failure
from pictures import encoded, jpeg, notes, painted, write

pytestmark = pytest.mark.usefixtures("_decoders")


@pytest.fixture(scope="module")
def _decoders() -> None:
    prepare()


def drawn(path: Path, longest: int = 128) -> Image.Image:
    with path.open("rb") as file:
        found = thumbnail(file, longest, Limits())
    assert isinstance(found, bytes), found
    return Image.open(io.BytesIO(found))


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures' values, 0 to 255."""
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return sum(ImageStat.Stat(apart).mean) / 3


@pytest.mark.parametrize("orientation", range(9))
def test_it_is_upright(tmp_path: Path, orientation: int) -> None:
    path = jpeg(tmp_path / "a.jpg", 5, (600, 400), orientation=orientation)
    small = drawn(path)
    assert small.size == (128, 85)
    assert difference(small, painted(5, (600, 400)).resize((128, 85))) < 4


def test_the_longest_side_is_kept_and_nothing_is_enlarged(tmp_path: Path) -> None:
    assert drawn(jpeg(tmp_path / "tall.jpg", 1, (90, 900)), 100).size == (10, 100)
    assert drawn(jpeg(tmp_path / "small.jpg", 1, (30, 20)), 100).size == (30, 20)
    assert drawn(write(tmp_path / "line.png", painted(1, (2000, 1))), 100).size == (100, 1)


def test_it_says_nothing_of_its_file(tmp_path: Path) -> None:
    exif = notes(make="Maker", taken=datetime(2020, 1, 2), place=(52.0, 4.0))
    path = jpeg(tmp_path / "a.jpg", 1, exif=exif, comment=b"a secret", icc_profile=b"profile" * 20)
    small = drawn(path)
    assert not small.getexif()
    assert not {"exif", "comment", "icc_profile", "xmp"} & small.info.keys()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 64, 32))
    small = drawn(write(tmp_path / "a.png", clear.convert(mode))).convert("RGB")
    assert min(small.getpixel((32, 60))) > 245  # type: ignore[arg-type]
    assert max(small.getpixel((32, 4))) < 10  # type: ignore[arg-type]


def test_a_refused_picture_is_refused_here_too() -> None:
    data = encoded(painted(1), "PNG")
    found = thumbnail(io.BytesIO(data[: len(data) // 2]), 64, Limits())
    assert found == Failure("damaged", "the file ends before the picture does")
