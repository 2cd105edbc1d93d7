"""What the notes in a picture say; broken ones say nothing, and cost nothing."""

from __future__ import annotations

import io
import random
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from imgqd.pictures.limits import Limits
from imgqd.pictures.metadata import metadata
from imgqd.pictures.opening import identify, opened, prepare
from imgqd.records import Metadata
from pictures import encoded, jpeg, notes, painted, write

pytestmark = pytest.mark.usefixtures("_decoders")


@pytest.fixture(scope="module")
def _decoders() -> None:
    prepare()


def read(data: bytes) -> Metadata:
    file = io.BytesIO(data)
    with opened(file, identify(file), Limits()) as picture:
        return metadata(picture)


def told(exif: Image.Exif) -> Metadata:
    return read(encoded(painted(1), "JPEG", exif=exif))


def test_a_picture_without_notes() -> None:
    assert read(encoded(painted(1, (30, 20)), "PNG")) == Metadata("PNG", 30, 20)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_what_a_camera_writes(tmp_path: Path, suffix: str) -> None:
    exif = notes(
        make="Maker",
        model="One",
        lens="Maker 35mm",
        taken=datetime(2024, 2, 29, 23, 59, 58),
        place=(-33.8567, 151.2152),
    )
    if f".{suffix}" not in Image.registered_extensions():
        pytest.skip(f"this Pillow writes no {suffix}")
    found = read(write(tmp_path / f"a.{suffix}", painted(1), exif=exif).read_bytes())
    assert (found.width, found.height) == (320, 240)
    assert found.notes.taken_at == "2024-02-29T23:59:58"
    assert (found.notes.camera, found.notes.lens) == ("Maker One", "Maker 35mm")
    assert found.notes.latitude == pytest.approx(-33.8567, abs=1e-6)
    assert found.notes.longitude == pytest.approx(151.2152, abs=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_size_is_that_of_the_upright_picture(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = write(tmp_path / f"a.{suffix}", painted(1, (40, 30)), orientation=orientation)
    found = read(path.read_bytes())
    assert (found.width, found.height) == (40, 30)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("EASTMAN KODAK COMPANY", "KODAK DC240", "KODAK DC240"),
        ("Apple", "iPhone 6", "Apple iPhone 6"),
        ("Apple", None, "Apple"),
        (None, "Holga", "Holga"),
        ("  ", "\0", None),
        ("Ma\x1b[31mker\0rest", "One\r\nTwo", "Ma [31mker One Two"),
        ("x" * 5000, None, "x" * 120),
        ("Lumi\u00e8re".encode(), None, "Lumi\u00e8re"),
        (b"Lumi\xe8re", None, "Lumi\u00e8re"),
    ],
)
def test_the_camera(make: str | bytes | None, model: str | None, camera: str | None) -> None:
    assert told(notes(make=make, model=model)).notes.camera == camera


@pytest.mark.parametrize(
    ("original", "digitized", "taken"),
    [
        ("2024:05:06 07:08:09", "2020:01:01 00:00:00", "2024-05-06T07:08:09"),
        ("0000:00:00 00:00:00", "2020:01:01 00:00:00", "2020-01-01T00:00:00"),
        ("    :  :     :  :  ", None, None),
        ("2024-05-06T07:08:09Z", None, "2024-05-06T07:08:09"),
        ("2023:02:30 10:00:00", None, None),
        ("yesterday", None, None),
    ],
)
def test_the_date(original: str, digitized: str | None, taken: str | None) -> None:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = original
    if digitized:
        details[ExifTags.Base.DateTimeDigitized] = digitized
    assert told(exif).notes.taken_at == taken


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((91, 0, 0), (4, 0, 0)),
        ((52, 0, 0), (181, 0, 0)),
    ],
)
def test_a_place_that_is_none(latitude: Any, longitude: Any) -> None:
    exif = notes(place=(1.0, 1.0))
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLongitude] = latitude, longitude
    found = told(exif)
    assert (found.notes.latitude, found.notes.longitude) == (None, None)


def test_a_place_divided_by_zero_is_none() -> None:
    exif = notes(make="M", place=(52.0, 4.0))
    whole = encoded(painted(1), "JPEG", exif=exif)
    degrees = struct.pack(">2L", 52, 1)
    if degrees not in whole:
        degrees = struct.pack("<2L", 52, 1)
    assert read(whole).notes.latitude == 52
    found = read(whole.replace(degrees, degrees.replace(b"\x01", b"\x00")))
    assert (found.notes.camera, found.notes.latitude, found.notes.longitude) == ("M", None, None)


def test_half_a_place_is_none() -> None:
    exif = notes(make="M", place=(52.0, 4.0))
    del exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLongitude]
    found = told(exif)
    assert (found.notes.camera, found.notes.latitude, found.notes.longitude) == ("M", None, None)


def test_broken_notes_never_cost_the_picture(tmp_path: Path) -> None:
    exif = notes(make="M", model="X", lens="L", taken=datetime(2024, 1, 1), place=(1.0, 2.0))
    whole = jpeg(tmp_path / "a.jpg", 1, (40, 30), exif=exif).read_bytes()
    start = whole.index(b"Exif\0\0") + 6
    end = start + len(exif.tobytes()) - 6
    dice = random.Random(7)
    for _ in range(400):
        broken = bytearray(whole)
        for _ in range(dice.randint(1, 30)):
            broken[dice.randrange(start, end)] = dice.randrange(256)
        found = read(bytes(broken))
        assert found.format == "JPEG"
        assert {found.width, found.height} == {30, 40}


def test_files_of_real_cameras(shared_pictures: Path) -> None:
    def of(name: str) -> Metadata:
        return read((shared_pictures / "exif" / name).read_bytes())

    nikon = of("gps/DSCN0010.jpg")
    assert nikon.notes.camera == "NIKON COOLPIX P6000"
    assert nikon.notes.taken_at == "2008-10-22T16:28:39"
    assert (nikon.notes.latitude, nikon.notes.longitude) == (43.4674483, 11.8851267)
    phone = of("heic/iphone_13_pro_max.HEIC")
    assert (phone.format, phone.width, phone.height) == ("HEIF", 3024, 4032)
    assert phone.notes.lens == "Apple iPhone 13 Pro Max back triple camera 5.7mm f/1.5"
