"""Notes out of a picture's EXIF (Exif 3.0, CIPA DC-008-2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

from imgqd.pictures.guarded import guarded
from imgqd.pictures.text import one_line
from imgqd.pictures.told import LONGEST_KEYWORD, LONGEST_NAME, LONGEST_TEXT, MOST_KEYWORDS
from imgqd.records import Notes

_ORIGINAL = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal)
_DIGITIZED = (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized)
_RATING = 0x4746
_LARGEST_ISO = 10_000_000
# Windows', in UTF-16.
_TITLE, _COMMENT, _KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9E
# How a user's comment is written; Unicode is UTF-16 in the file's own order of bytes.
_CHARSETS = {b"ASCII": "utf-8", b"JIS": "iso2022_jp", b"UNICODE": "utf-16", b"": "utf-8"}
Tags = Mapping[int, Any]


def notes(image: Image.Image) -> Notes:
    """What the EXIF of a picture says. Never raises for what is in the file."""
    nothing: Tags = {}
    main = guarded(image.getexif)
    if main is None:
        return Notes()
    # Some write the details where the rest is.
    exif = {**main, **(guarded(main.get_ifd, ExifTags.IFD.Exif) or nothing)}
    gps = guarded(main.get_ifd, ExifTags.IFD.GPSInfo) or nothing
    taken_at = guarded(_taken_at, exif)
    latitude, longitude = guarded(_place, gps) or (None, None)
    order = getattr(main, "endian", "<")
    return Notes(
        taken_at=taken_at,
        taken_from="exif" if taken_at else None,
        camera=guarded(_camera, main),
        lens=guarded(_lens, exif),
        latitude=latitude,
        longitude=longitude,
        title=guarded(_wide, main.get(_TITLE)),
        description=guarded(_description, main, exif, order),
        keywords=guarded(_keywords, main.get(_KEYWORDS)) or (),
        rating=guarded(_rating, main),
        exposure_time=guarded(_number, exif.get(ExifTags.Base.ExposureTime)),
        f_number=guarded(_number, exif.get(ExifTags.Base.FNumber)),
        iso=guarded(_iso, exif.get(ExifTags.Base.ISOSpeedRatings)),
        focal_length=guarded(_number, exif.get(ExifTags.Base.FocalLength)),
    )


def written_at(image: Image.Image) -> str | None:
    """When the file was written, by the program that wrote it: better than nothing."""
    main: Tags = guarded(image.getexif) or {}
    return guarded(_moment, _text(main.get(ExifTags.Base.DateTime)))


def named(make: str, model: str) -> str | None:
    """Make and model, the make once: "NIKON CORPORATION", "NIKON D90" is a "NIKON D90"."""
    if model and model.split()[0].lower() in make.lower().split():
        make = ""
    return one_line(f"{make} {model}", LONGEST_NAME) or None


def _taken_at(exif: Tags) -> str | None:
    """As the clock stood where it was taken; one of zeros was never set."""
    for tag, offset in (_ORIGINAL, _DIGITIZED):
        written = _text(exif.get(tag))
        zone = guarded(_zone, _text(exif.get(offset))) or ""
        if found := guarded(_moment, written):
            return found + zone
    return None


def _moment(written: str) -> str:
    """Of "2024:05:06 07:08:09", and of what some write in its place. Raises ValueError."""
    date, clock = written[:10], written[11:19]
    numbers = [*_split(date, ":-/."), *_split(clock, ":")]
    if [len(number) for number in numbers] != [4, 2, 2, 2, 2, 2] or written[10] not in " T":
        raise ValueError(f"{written!r} is no time")
    return datetime(*map(int, numbers)).isoformat()  # type: ignore[arg-type]


def _split(text: str, separators: str) -> list[str]:
    for separator in separators:
        text = text.replace(separator, " ")
    parts = text.split(" ")
    return parts if all(part.isascii() and part.isdigit() for part in parts) else []


def _zone(written: str) -> str | None:
    """As "+02:00", where it is one."""
    sign, hours, minutes = written[:1], written[1:3], written[4:6]
    if sign not in ("+", "-") or written[3:4] != ":" or len(written) != 6:
        return None
    is_one = hours.isdigit() and minutes.isdigit() and int(hours) <= 15 and int(minutes) < 60
    return written if written.isascii() and is_one else None


def _camera(main: Tags) -> str | None:
    return named(_text(main.get(ExifTags.Base.Make)), _text(main.get(ExifTags.Base.Model)))


def _lens(exif: Tags) -> str | None:
    model = _text(exif.get(ExifTags.Base.LensModel))
    return named(_text(exif.get(ExifTags.Base.LensMake)), model) if model else None


def _description(main: Tags, exif: Tags, order: str) -> str | None:
    return (
        _text(main.get(ExifTags.Base.ImageDescription), LONGEST_TEXT)
        or guarded(_comment, exif.get(ExifTags.Base.UserComment), order)
        or guarded(_wide, main.get(_COMMENT))
        or None
    )


def _comment(value: object, order: str) -> str:
    if not isinstance(value, bytes):
        return _text(value, LONGEST_TEXT)
    charset, text = _CHARSETS.get(value[:8].rstrip(b"\0 ")), value[8 : 8 + 8 * LONGEST_TEXT]
    if charset == "utf-16":
        charset = "utf-16-be" if order == ">" else "utf-16-le"
        # Many write it in the order of their own machine.
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            charset = "utf-16"
        elif text[1::2].count(0) != text[::2].count(0):
            charset = "utf-16-le" if text[1::2].count(0) > text[::2].count(0) else "utf-16-be"
        return one_line(text.decode(charset, "replace").partition("\0")[0], LONGEST_TEXT)
    if charset == "iso2022_jp":
        return one_line(text.decode(charset, "replace").partition("\0")[0], LONGEST_TEXT)
    return _text(text, LONGEST_TEXT)


def _wide(value: object) -> str | None:
    if isinstance(value, tuple):
        value = bytes(value)
    if not isinstance(value, bytes):
        return None
    text = value[: 8 * LONGEST_TEXT].decode("utf-16-le", "replace").partition("\0")[0]
    return one_line(text, LONGEST_TEXT) or None


def _keywords(value: object) -> tuple[str, ...]:
    parts = (_wide(value) or "").split(";")
    return tuple(
        word for part in parts[:MOST_KEYWORDS] if (word := one_line(part, LONGEST_KEYWORD))
    )


def _rating(main: Tags) -> int | None:
    value = main.get(_RATING)
    return value if type(value) is int and 0 <= value <= 5 else None


def _number(value: object) -> float | None:
    if isinstance(value, tuple):
        value = value[0]
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) and 0 < number < 1e6 else None


def _iso(value: object) -> int | None:
    if isinstance(value, tuple):
        value = value[0]
    return value if type(value) is int and 0 < value <= _LARGEST_ISO else None


def _text(value: object, most: int = LONGEST_NAME) -> str:
    if isinstance(value, tuple):
        value = value[0] if value else ""
    if isinstance(value, str):
        # EXIF means ASCII, Pillow reads Latin-1, and phones write UTF-8.
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            return one_line(str(value).partition("\0")[0], most)
    if not isinstance(value, bytes):
        return ""
    value = value[: 8 * most].partition(b"\0")[0]
    try:
        return one_line(value.decode("utf-8"), most)
    except UnicodeDecodeError:
        return one_line(value.decode("latin-1"), most)


def _place(gps: Tags) -> tuple[float, float] | None:
    """Degrees, north and east positive; None unless both are there and somewhere on Earth."""
    latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
    longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
    return on_earth(latitude, longitude)


def on_earth(latitude: float, longitude: float) -> tuple[float, float] | None:
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    # Cameras without a fix write zeros; nobody takes pictures on that spot of the ocean.
    return None if latitude == longitude == 0 else (latitude, longitude)


def _degrees(gps: Tags, tag: int, reference_tag: int, negative: str) -> float:
    parts = [float(part) for part in gps[tag]]
    degrees, minutes, seconds = (*parts, 0.0, 0.0)[:3]
    value = degrees + minutes / 60 + seconds / 3600
    value = round(value, 7)  # a centimeter
    return -value if _text(gps.get(reference_tag)).upper() == negative else value
