"""Why a picture is refused: from a decoder's exception to a sentence for a person."""

from __future__ import annotations

import os
import re
import struct

from PIL import Image, UnidentifiedImageError

from imgqd.pictures.limits import Limits
from imgqd.pictures.text import LONGEST_REASON, one_line
from imgqd.records import Failure, FailureKind

_LONGEST_MESSAGE = 160

_ENDS_EARLY = re.compile(
    r"truncat|end.of.file|unexpected end|not enough|too short|\beof\b|no more data|but only got",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"unsupported|unknown|unrecogni[sz]ed|not (supported|implemented|available|installed)",
    re.IGNORECASE,
)
# Where a decoder tripped over the data, and its words are about its own insides.
_SLIPS = (IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError, struct.error)
_SAYS_NOTHING = re.compile(
    r"^decoder error|not identified by this driver|index out of range|^\d+$|requires a buffer"
    r"|invalid literal|before the file's start|could not create decoder|failed to read next frame"
)
# What Pillow says of a codec that it has, and that makes nothing of the data.
_BROKEN = re.compile(r"data stream contents")
_PIXELS = re.compile(r"\((\d+) pixels\)")


class Refused(Exception):
    """The picture cannot be used, for the reason given."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.failure = Failure(kind, one_line(reason, LONGEST_REASON))


def too_many_pixels(count: int, format: str, limits: Limits) -> Refused:
    return Refused(
        "too_large", f"it has {count / 1e6:.1f} megapixels, above {limits.setting(format)}"
    )


def unreadable(error: OSError) -> Failure:
    """A fault of the disk, not of the picture."""
    said = os.strerror(error.errno) if error.errno else str(error)
    return Failure("unreadable", one_line(f"its bytes could not be read: {said}", LONGEST_REASON))


def refusal(error: Exception, format: str, limits: Limits) -> Failure:
    """The failure that `error`, raised while a picture of this format was read, stands for."""
    if isinstance(error, Refused):
        return error.failure
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        found = _PIXELS.search(str(error))
        return too_many_pixels(int(found[1]) if found else 0, format, limits).failure
    if isinstance(error, MemoryError):
        megabytes = limits.memory >> 20
        return _failure("too_large", f"decoding it takes more than a decoder's {megabytes} MB")
    if isinstance(error, OSError) and error.errno:
        return unreadable(error)
    if isinstance(error, RecursionError):
        return _failure("damaged", f"its {format} structure is nested without end")
    return _by_message(error, format)


def _by_message(error: Exception, format: str) -> Failure:
    message = one_line(str(error), _LONGEST_MESSAGE) or type(error).__name__
    if isinstance(error, EOFError) or _ENDS_EARLY.search(message):
        return _failure("damaged", "the file ends before the picture does")
    if "MAX_TEXT" in message:  # Pillow names its own setting
        return _failure("too_large", f"a note inside the {format} is too large")
    if _BROKEN.search(message):
        return _failure("damaged", f"its {format} data is damaged")
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(message):
        return _failure("unsupported", f"a kind of {format} that cannot be decoded: {message}")
    if isinstance(error, UnidentifiedImageError):
        return _failure("damaged", f"it begins like {format}, but its header is damaged")
    if isinstance(error, _SLIPS) or _SAYS_NOTHING.search(message):
        return _failure("damaged", f"its {format} data is damaged")
    return _failure("damaged", f"its {format} data is damaged: {message}")


def _failure(kind: FailureKind, reason: str) -> Failure:
    return Failure(kind, one_line(reason, LONGEST_REASON))
