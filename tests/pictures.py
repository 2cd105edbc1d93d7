"""Pictures made for tests: small, all different, and the same at every run."""

from __future__ import annotations

import io
import os
import random
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

Size = tuple[int, int]

# What turns an upright picture into one that lies in the file as the orientation says.
_LAID = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def painted(look: int | str = 0, size: Size = (320, 240)) -> Image.Image:
    """An RGB picture: of one color where `look` names one, else a scene of each seed's own."""
    if isinstance(look, str):
        return Image.new("RGB", size, look)
    dice = random.Random(look)
    sky = Image.frombytes("RGB", (5, 4), dice.randbytes(60)).resize(size, Image.Resampling.BICUBIC)
    for _ in range(6):
        width, height = (max(1, side * dice.randint(5, 40) // 100) for side in size)
        corner = (dice.randint(0, size[0] - width), dice.randint(0, size[1] - height))
        sky.paste(tuple(dice.randbytes(3)), (*corner, corner[0] + width, corner[1] + height))
    return sky


def jpeg(
    path: Path,
    look: int | str = 0,
    size: Size = (320, 240),
    *,
    orientation: int | None = None,
    exif: Image.Exif | None = None,
    **options: Any,
) -> Path:
    """A JPEG file that shows `painted(look, size)` when it is upright, whatever its orientation
    and its name."""
    options = {"format": "JPEG", "quality": 92, **options}
    return write(path, painted(look, size), orientation=orientation, exif=exif, **options)


def png(path: Path, look: int | str = 0, size: Size = (320, 240), **options: Any) -> Path:
    """A PNG file of `painted(look, size)`; takes `orientation` and `exif` like `jpeg`."""
    return write(path, painted(look, size), **{"format": "PNG", **options})


def write(
    path: Path,
    image: Image.Image,
    *,
    orientation: int | None = None,
    exif: Image.Exif | None = None,
    **options: Any,
) -> Path:
    """Writes `image` as the path's suffix, or `format=`, says; laid down by `orientation`."""
    if orientation is not None:
        exif = exif or Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        if orientation in _LAID:
            image = image.transpose(_LAID[orientation])
    if exif is not None:
        options["exif"] = exif.tobytes()  # Pillow's writer of TIFF leaves half of an Exif out
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return aged(path)


def aged(path: Path) -> Path:
    """The same file, written a minute ago: nobody waits whether it is still being written."""
    then = time.time_ns() - 60 * 10**9
    os.utime(path, ns=(then, then))
    return path


def notes(
    *,
    make: str | bytes | None = None,
    model: str | None = None,
    lens: str | None = None,
    taken: datetime | None = None,
    place: tuple[float, float] | None = None,
) -> Image.Exif:
    """EXIF as a camera writes it; `place` is (latitude, longitude) in degrees."""
    exif = Image.Exif()
    if make is not None:
        exif[ExifTags.Base.Make] = make
    if model is not None:
        exif[ExifTags.Base.Model] = model
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if lens is not None:
        details[ExifTags.Base.LensModel] = lens
    if taken is not None:
        details[ExifTags.Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
    if place is not None:
        latitude, longitude = place
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "N" if latitude >= 0 else "S",
                ExifTags.GPS.GPSLatitude: _sexagesimal(latitude),
                ExifTags.GPS.GPSLongitudeRef: "E" if longitude >= 0 else "W",
                ExifTags.GPS.GPSLongitude: _sexagesimal(longitude),
            }
        )
    return exif


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file of this picture."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(abs(degrees) * 3600, 60)
    whole, minutes = divmod(minutes, 60)
    return whole, minutes, round(seconds, 4)
