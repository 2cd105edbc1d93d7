"""Opens pictures with Pillow, by what their bytes say they are and within the limits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgqd.pictures import formats, jxl, raw, webp
from imgqd.pictures.limits import Limits
from imgqd.pictures.refusal import Refused, too_many_pixels

_EXTRAS = {
    "RAW": ("camera raw", "`pip install 'imgq[raw]'` brings one"),
    "JXL": ("JPEG XL", "`pip install 'imgq[jxl]'` brings one"),
}
# A PNG's EXIF may stand behind its pixels: Pillow decodes those to get there, and tells only who comes
# first that they are broken. A HEIF has its true size when it is decoded.
_LOADED_FIRST = frozenset(("PNG", "HEIF"))
_TURNED = frozenset((5, 6, 7, 8))
# DNGVersion; and the colors of a sensor: color filter array, linear raw.
_DNG_VERSION, _SENSOR_COLORS = 50706, frozenset((32803, 34892))
_TIFF_HEAD = 8
_NEW_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IFDS = 254, 262, 330


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture whose header has been read. `orientation` is EXIF's, 1 where there is nothing to
    turn; `width` and `height` are those of the upright picture."""

    image: Image.Image
    format: str
    orientation: int
    width: int
    height: int

    @property
    def turned(self) -> bool:
        """Whether the picture lies on its side in the file."""
        return self.orientation in _TURNED


def prepare() -> None:
    """Loads every decoder, once in a process and before the first picture."""
    # Pillow imports it for the first picture in L*a*b*, when no file can be opened any more.
    import_module("PIL.ImageCms")
    Image.init()
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.WARN_POSSIBLE_FORMATS = True
    try:
        import pillow_heif
    except ImportError:
        return
    # Threads of its own would take the other decoders' cores, and address space.
    pillow_heif.register_heif_opener(
        thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
    )


@contextmanager
def opened(file: BinaryIO, format: str, limits: Limits) -> Iterator[Opened]:
    """The picture in `file`, which is of this format; its pixels are not decoded yet.

    Raises Refused, and whatever Pillow raises.
    """
    if format == "TIFF" and _is_raw(file):
        format = "RAW"
    _require(format)
    # What these bring is a JPEG.
    Image.MAX_IMAGE_PIXELS = limits.pixels("JPEG" if format in _EXTRAS else format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if format == "JXL":
            yield _foreign(jxl.opened(file, limits), format, limits)
            return
        if format == "RAW":
            yield _developed(file, limits)
            return
        with _open(file, format) as image:
            _limit(image, format, limits)
            yield _measured(image, format)


def _require(format: str) -> None:
    """Raises Refused where this format's decoder is not installed."""
    if format in _EXTRAS:
        is_installed = {"JXL": jxl, "RAW": raw}[format].is_installed()
    else:
        is_installed = format in Image.OPEN and (format != "AVIF" or features.check("avif"))
    if not is_installed:
        name, how = _EXTRAS.get(format, (format, "a copy as JPEG or PNG would be indexed"))
        raise Refused("unsupported", f"no decoder for {name} is installed; {how}")


def _limit(image: Image.Image, format: str, limits: Limits) -> None:
    if image.width * image.height > limits.pixels(format):
        raise too_many_pixels(image.width * image.height, format, limits)


def _foreign(image: Image.Image, format: str, limits: Limits) -> Opened:
    """A JPEG that lay in another format, which says how it lies, or a picture that is upright."""
    if image.format != "JPEG":
        return Opened(image, format, 1, *image.size)
    _limit(image, "JPEG", limits)
    return _turned(image, format, _orientation(image))


def _developed(file: BinaryIO, limits: Limits) -> Opened:
    found = raw.opened(file, limits)
    _limit(found.image, "JPEG", limits)
    return _turned(found.image, "RAW", found.orientation)


def _turned(image: Image.Image, format: str, orientation: int) -> Opened:
    width, height = image.size
    if orientation in _TURNED:
        width, height = height, width
    return Opened(image, format, orientation, width, height)


def identify(file: BinaryIO) -> str:
    """The format of a file by its first bytes. Raises Refused where it is no picture."""
    file.seek(0)
    head = file.read(formats.HEAD_BYTES)
    if format := formats.sniff(head):
        return format
    if not head:
        raise Refused("damaged", "the file is empty")
    if not any(head):
        raise Refused("damaged", "it begins with zeros, as a download that never ended does")
    if other := formats.other_kind(head):
        raise Refused("unsupported", f"it is {other}, which is no kind of picture that is read")
    raise Refused("damaged", "its first bytes are not those of any picture")


def _open(file: BinaryIO, format: str) -> ImageFile.ImageFile:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return webp.opened(file) if format == "WEBP" else Image.open(file, formats=[format])
        except UnidentifiedImageError:
            # Pillow keeps the reason for a warning.
            if said and (reason := str(said[-1].message).partition("opening failed. ")[2]):
                raise SyntaxError(reason) from None
            raise


def _measured(image: ImageFile.ImageFile, format: str) -> Opened:
    if format in _LOADED_FIRST:
        image.load()
    # Pillow itself turns a TIFF upright when it loads it, and gives its size so.
    orientation = 1 if format == "TIFF" else _orientation(image)
    return _turned(image, format, orientation)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception:  # broken EXIF costs the picture its orientation, not its place
        return 1
    return orientation if orientation in range(1, 9) else 1


def _is_raw(file: BinaryIO) -> bool:
    """NEF, ARW, DNG and others begin like a TIFF, and with a mere thumbnail."""
    try:
        file.seek(0)
        tags = ImageFileDirectory_v2(file.read(_TIFF_HEAD))
        file.seek(tags.next)
        tags.load(file)
        small = tags.get(_NEW_SUBFILE_TYPE, 0) == 1 and _SUB_IFDS in tags
        return _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _SENSOR_COLORS or small
    except Exception:  # whoever opens it as a TIFF will say what is wrong
        return False
