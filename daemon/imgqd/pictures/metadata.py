"""What a picture's EXIF says of it. A broken note is as good as none and costs no picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags

from imgqd.pictures.opening import Opened
from imgqd.pictures.text import one_line
from imgqd.records import Metadata, Notes

LONGEST_TEXT = 120

_DATE = re.compile(r"\s*(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)")
Tags = Mapping[int, Any]
Given = TypeVar("Given")
Found = TypeVar("Found")


def metadata(picture: Opened) -> Metadata:
    """What is known of an opened picture. Never raises for what is in the file."""
    main, exif, gps = _tags(picture)
    place = _guarded(_place, gps)
    latitude, longitude = place if place else (None, None)
    taken_at = _guarded(_taken_at, exif)
    notes = Notes(
        taken_at=taken_at,
        taken_from="exif" if taken_at else None,
        camera=_guarded(_camera, main),
        lens=_guarded(_lens, exif),
        latitude=latitude,
        longitude=longitude,
    )
    return Metadata(picture.format, picture.width, picture.height, notes, picture.orientation)


def _tags(picture: Opened) -> tuple[Tags, Tags, Tags]:
    nothing: Tags = {}
    try:
        main = picture.image.getexif()
    except Exception:  # see the module: no EXIF then
        return nothing, nothing, nothing
    return (
        main,
        _guarded(main.get_ifd, ExifTags.IFD.Exif) or nothing,
        _guarded(main.get_ifd, ExifTags.IFD.GPSInfo) or nothing,
    )


def _guarded(read: Callable[[Given], Found], given: Given) -> Found | None:
    try:
        return read(given)
    except Exception:  # see the module: an unknown value then
        return None


def _taken_at(exif: Tags) -> str | None:
    """Local time as the camera wrote it; one of zeros is a clock that was never set."""
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        found = _DATE.match(_text(exif.get(tag)))
        if not found:
            continue
        try:
            return datetime(*map(int, found.groups())).isoformat()  # type: ignore[arg-type]
        except ValueError:
            continue
    return None


def _camera(main: Tags) -> str | None:
    make, model = _text(main.get(ExifTags.Base.Make)), _text(main.get(ExifTags.Base.Model))
    return _named(make, model)


def _lens(exif: Tags) -> str | None:
    make = _text(exif.get(ExifTags.Base.LensMake))
    model = _text(exif.get(ExifTags.Base.LensModel))
    return _named(make, model) if model else None


def _named(make: str, model: str) -> str | None:
    """Make and model, the make once: "NIKON CORPORATION", "NIKON D90" is a "NIKON D90"."""
    if model and model.split()[0].lower() in make.lower().split():
        make = ""
    return one_line(f"{make} {model}", LONGEST_TEXT) or None


def _text(value: object) -> str:
    if isinstance(value, tuple):
        value = value[0] if value else ""
    if isinstance(value, str):
        # EXIF means ASCII, Pillow reads Latin-1, and phones write UTF-8.
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            return one_line(str(value).partition("\0")[0], LONGEST_TEXT)
    if not isinstance(value, bytes):
        return ""
    value = value.partition(b"\0")[0]
    try:
        return one_line(value.decode("utf-8"), LONGEST_TEXT)
    except UnicodeDecodeError:
        return one_line(value.decode("latin-1"), LONGEST_TEXT)


def _place(gps: Tags) -> tuple[float, float] | None:
    """Degrees, north and east positive; None unless both are there and somewhere on Earth."""
    latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
    longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
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
