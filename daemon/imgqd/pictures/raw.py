"""Camera raw, where the extra imgq[raw] is installed: the preview inside it, else a quick development."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from imgqd.pictures.limits import Limits
from imgqd.pictures.refusal import Refused, too_many_pixels

try:
    import rawpy
except ImportError:
    rawpy = None

# A smaller preview is a stamp on the camera's screen.
_SMALLEST_PREVIEW = 256
# LibRaw's flip, as EXIF has it.
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}


@dataclass(frozen=True, slots=True)
class Developed:
    """A picture out of a raw file, and how it is turned upright, by EXIF's numbers."""

    image: Image.Image
    orientation: int


def is_installed() -> bool:
    return rawpy is not None


def opened(file: BinaryIO, limits: Limits) -> Developed:
    """Raises Refused, and whatever rawpy raises."""
    file.seek(0)
    with rawpy.RawPy() as raw:
        try:
            raw.open_buffer(file)
            preview = _preview(raw)
            if preview is not None and min(preview.size) >= _SMALLEST_PREVIEW:
                return Developed(preview, _orientation(preview, raw.sizes))
            return Developed(_development(raw, limits), 1)
        except rawpy.LibRawFileUnsupportedError as error:
            raise Refused("unsupported", "a kind of camera raw that cannot be decoded") from error
        except rawpy.LibRawUnsufficientMemoryError as error:
            raise MemoryError from error
        except rawpy.LibRawIOError as error:
            raise EOFError from error
        except rawpy.LibRawError as error:
            raise Refused("damaged", "its camera raw data is damaged") from error


def _preview(raw: Any) -> Image.Image | None:
    try:
        found = raw.extract_thumb()
        if found.format == rawpy.ThumbFormat.JPEG:
            return Image.open(io.BytesIO(found.data), formats=["JPEG"])
        return Image.fromarray(found.data)
    except (rawpy.LibRawError, NotImplementedError, OSError, ValueError):
        return None


def _orientation(preview: Image.Image, sizes: Any) -> int:
    """A preview may be upright already, say how it lies, or lie as the sensor does. Its shape comes first:
    LibRaw writes the raw file's own orientation into a preview that says nothing."""
    lies = sizes.raw_width > sizes.raw_height
    if sizes.flip in (5, 6) and (preview.width > preview.height) != lies:
        return 1
    said = preview.getexif().get(ExifTags.Base.Orientation)
    if isinstance(said, int) and said in range(1, 9):
        return said
    return _ORIENTATIONS.get(sizes.flip, 1)


def _development(raw: Any, limits: Limits) -> Image.Image:
    """Upright, at half the size: four points of the sensor are one pixel."""
    count = raw.sizes.raw_width * raw.sizes.raw_height
    if count > limits.pixels("RAW"):
        raise too_many_pixels(count, "RAW", limits)
    raw.unpack()
    return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8))
