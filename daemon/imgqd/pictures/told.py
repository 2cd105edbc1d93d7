"""Notes as a decoder tells them, which a picture may have taken over: nothing is taken but values of the
right kind and size."""

from __future__ import annotations

import math
import re
from datetime import datetime

from imgqd.pictures.text import one_line
from imgqd.records import Notes

LONGEST_NAME = 120
LONGEST_TEXT = 2000
LONGEST_KEYWORD = 100
MOST_KEYWORDS = 100
LEAST_RATING, MOST_RATING = -1, 5
# More than any lens, shutter or sensor has.
MOST_NUMBER = 1e7

_TAKEN_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d)?")
_SOURCES = ("exif", "iptc", "xmp", None)


class Nonsense(Exception):
    """The other side said what it cannot mean."""


def read_notes(told: object) -> Notes:
    """The notes of the map that they became. Raises Nonsense."""
    if not isinstance(told, dict):
        raise Nonsense("notes that are none")
    taken_at, taken_from = _taken_at(told.get("taken_at")), told.get("taken_from")
    if taken_from not in _SOURCES or (taken_at is None) != (taken_from is None):
        raise Nonsense("a time from nowhere")
    return Notes(
        taken_at=taken_at,
        taken_from=taken_from,
        camera=_text(told.get("camera"), LONGEST_NAME),
        lens=_text(told.get("lens"), LONGEST_NAME),
        latitude=_degrees(told.get("latitude"), 90),
        longitude=_degrees(told.get("longitude"), 180),
        title=_text(told.get("title"), LONGEST_TEXT),
        description=_text(told.get("description"), LONGEST_TEXT),
        keywords=_keywords(told.get("keywords")),
        rating=_rating(told.get("rating")),
        exposure_time=_positive(told.get("exposure_time")),
        f_number=_positive(told.get("f_number")),
        iso=_iso(told.get("iso")),
        focal_length=_positive(told.get("focal_length")),
    )


def _text(value: object, most: int) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Nonsense("a name that is no text")
    return None if value is None else one_line(value, most)


def _keywords(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_KEYWORDS:
        raise Nonsense("keywords that are none")
    found = (_text(each, LONGEST_KEYWORD) for each in value)
    return tuple(each for each in found if each)


def _taken_at(value: object) -> str | None:
    if value is None:
        return None
    if not (isinstance(value, str) and _TAKEN_AT.fullmatch(value)):
        raise Nonsense("a time that is none")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Nonsense("a time that is none") from None
    return value


def _degrees(value: object, most: int) -> float | None:
    if value is None:
        return None
    if not isinstance(value, float) or not math.isfinite(value) or abs(value) > most:
        raise Nonsense("a place that is nowhere")
    return value


def _rating(value: object) -> int | None:
    if value is not None and (type(value) is not int or not LEAST_RATING <= value <= MOST_RATING):
        raise Nonsense("a rating that is none")
    return value


def _iso(value: object) -> int | None:
    if value is not None and (type(value) is not int or not 0 < value <= MOST_NUMBER):
        raise Nonsense("a speed that is none")
    return value


def _positive(value: object) -> float | None:
    if value is not None and (not isinstance(value, float) or not 0 < value <= MOST_NUMBER):
        raise Nonsense("a number that is none")
    return value
