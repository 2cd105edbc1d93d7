"""Notes out of a picture's IPTC records (IPTC-NAA Information Interchange Model 4.2)."""

from __future__ import annotations

import hashlib
from typing import Any

from PIL import Image, IptcImagePlugin

from imgqd.pictures.guarded import guarded
from imgqd.pictures.text import one_line
from imgqd.pictures.told import LONGEST_KEYWORD, LONGEST_TEXT, MOST_KEYWORDS
from imgqd.pictures.xmp import moment
from imgqd.records import Notes

_CHARSET, _UTF8 = (1, 90), b"\x1b%G"
_TITLE, _HEADLINE, _CAPTION, _KEYWORDS = (2, 5), (2, 105), (2, 120), (2, 25)
_DATE, _TIME = (2, 55), (2, 60)
# Photoshop's image resources.
_RECORDS, _DIGEST = 0x0404, 0x0425
Records = dict[tuple[int, int], Any]


def notes(image: Image.Image) -> Notes:
    """What the IPTC records of a picture say. Never raises for what is in the file."""
    records = guarded(IptcImagePlugin.getiptcinfo, image)
    if not records:
        return Notes()
    charset = "utf-8" if guarded(_one, records, _CHARSET) == _UTF8 else ""
    taken_at = guarded(_taken_at, records)
    return Notes(
        taken_at=taken_at,
        taken_from="iptc" if taken_at else None,
        title=_text(records, _TITLE, charset) or _text(records, _HEADLINE, charset),
        description=_text(records, _CAPTION, charset),
        keywords=guarded(_keywords, records, charset) or (),
    )


def is_newer(image: Image.Image) -> bool:
    """Whether the records were changed by a program that did not know of XMP: their digest is there, and
    is another's."""
    resources = image.info.get("photoshop")
    if not isinstance(resources, dict):
        return False
    digest, records = resources.get(_DIGEST), resources.get(_RECORDS)
    if not isinstance(digest, bytes) or not isinstance(records, bytes) or not any(digest):
        return False
    return hashlib.md5(records, usedforsecurity=False).digest() != digest


def _one(records: Records, place: tuple[int, int]) -> bytes:
    value = records[place]
    return bytes(value[0] if isinstance(value, list) else value)


def _text(records: Records, place: tuple[int, int], charset: str) -> str | None:
    value = guarded(_one, records, place)
    return _decoded(value, charset, LONGEST_TEXT) if value else None


def _decoded(value: bytes, charset: str, most: int) -> str | None:
    """UTF-8, by what the records say or by its looks; else Latin-1, as there is no telling."""
    value = value[: 8 * most]
    try:
        text = value.decode("utf-8", "replace" if charset else "strict")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return one_line(text, most) or None


def _keywords(records: Records, charset: str) -> tuple[str, ...]:
    value = records[_KEYWORDS]
    values = value if isinstance(value, list) else [value]
    found = (_decoded(bytes(each), charset, LONGEST_KEYWORD) for each in values[:MOST_KEYWORDS])
    return tuple(each for each in found if each)


def _taken_at(records: Records) -> str | None:
    """Of CCYYMMDD and HHMMSS±HHMM, the second of which may be missing."""
    date = _one(records, _DATE).decode("ascii")
    clock = (guarded(_one, records, _TIME) or b"").decode("ascii")
    written = f"{date[:4]}-{date[4:6]}-{date[6:8]}"
    if len(clock) >= 6:
        written += f"T{clock[:2]}:{clock[2:4]}:{clock[4:6]}"
        if len(clock) == 11:
            written += f"{clock[6:9]}:{clock[9:]}"
    return moment(written)
