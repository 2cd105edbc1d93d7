"""Notes out of XMP (ISO 16684-1): RDF in XML, inside a picture or in a sidecar.

The parser is expat, without document types: an entity that is declared nowhere cannot grow.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from xml.parsers import expat

from imgqd.pictures.exif import named, on_earth
from imgqd.pictures.guarded import guarded
from imgqd.pictures.text import one_line
from imgqd.pictures.told import LONGEST_KEYWORD, LONGEST_NAME, LONGEST_TEXT, MOST_KEYWORDS
from imgqd.records import Notes

# A history of edits may be long; no more than this is looked at.
MOST_BYTES = 4 << 20
DEEPEST = 64
_MOST_VALUES = 1000
_LONGEST = 8 * LONGEST_TEXT

_SPACES = {
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
_LANGUAGE, _DEFAULT = "xml:lang", "x-default"
_DATES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_WRITTEN = ("exif:DateTimeDigitized",)
Values = dict[str, list[str]]
Found = TypeVar("Found")


class NotXmp(Exception):
    """It is XML of another kind, or has a document type."""


def notes(data: object) -> Notes | None:
    """What an XMP packet says, bytes or text; None where there is none. Never raises for what is in it."""
    values = guarded(_values, data)
    if values is None:
        return None
    taken_at = _first(values, (*_DATES, *_WRITTEN), moment)
    place = guarded(_place, values)
    latitude, longitude = place or (None, None)
    return Notes(
        taken_at=taken_at,
        taken_from="xmp" if taken_at else None,
        camera=guarded(_camera, values),
        lens=_first(values, ("exifEX:LensModel", "aux:Lens"), _name),
        latitude=latitude,
        longitude=longitude,
        title=_first(values, ("dc:title", "photoshop:Headline"), _text),
        description=_first(values, ("dc:description",), _text),
        keywords=_keywords(values.get("dc:subject", [])),
        rating=_first(values, ("xmp:Rating",), _rating),
        exposure_time=_first(values, ("exif:ExposureTime",), _number),
        f_number=_first(values, ("exif:FNumber",), _number),
        iso=_first(values, ("exifEX:PhotographicSensitivity", "exif:ISOSpeedRatings"), _iso),
        focal_length=_first(values, ("exif:FocalLength",), _number),
    )


def moment(written: str) -> str | None:
    """A date of ISO 8601, which may end anywhere after its year, as the records have it; None where it is
    none. What it leaves out is its first instant."""
    day, _, clock = written.strip().partition("T")
    if not clock:
        parts = day.split("-")
        if [len(part) for part in parts] != [4, 2, 2][: len(parts)]:
            return None
        day = "-".join([*parts, "01", "01"][:3])
        clock = "00:00:00"
    found = datetime.fromisoformat(f"{day}T{clock}").replace(microsecond=0)
    offset = found.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        return None
    return found.isoformat()


def _values(data: object) -> Values:
    """The values of the properties at the top of a packet, an alternative's default first."""
    reader = _Reader()
    reader.read(_decoded(data))
    if not reader.is_xmp:
        raise NotXmp
    return reader.values


def _decoded(data: object) -> str:
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    if not isinstance(data, bytes) or len(data) > MOST_BYTES:
        raise NotXmp
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    return text.strip("\0 \t\r\n")


class _Reader:
    """Follows expat from element to element."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.is_xmp = False
        self._path: list[str] = []
        self._said: list[str] | None = None
        self._length = 0
        self._is_default = False
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._hear
        self._parser = parser

    def read(self, text: str) -> None:
        self._parser.Parse(text, True)

    def _refuse(self, *_declared: object) -> None:
        raise NotXmp

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        path = self._path
        path.append(_short(name))
        if len(path) > DEEPEST:
            raise NotXmp
        self.is_xmp |= path[-1] == "rdf:RDF"
        if path[-2:] == ["rdf:RDF", "rdf:Description"]:
            for attribute, value in attributes.items():
                self._put(_short(attribute), value, False)
        elif self._is_value():
            self._said, self._length = [], 0
            self._is_default = attributes.get(_long(_LANGUAGE)) == _DEFAULT

    def _is_value(self) -> bool:
        """Whether what comes is the text of a property, or of one of its list."""
        path = self._path
        plain = path[-3:-1] == ["rdf:RDF", "rdf:Description"]
        listed = path[-1] == "rdf:li" and path[-5:-3] == ["rdf:RDF", "rdf:Description"]
        return plain or listed

    def _hear(self, text: str) -> None:
        if self._said is not None and self._length < _LONGEST:
            self._said.append(text[: _LONGEST - self._length])
            self._length += len(text)

    def _end(self, _name: str) -> None:
        if self._said is not None:
            if self._is_value():
                place = -3 if self._path[-1] == "rdf:li" else -1
                self._put(self._path[place], "".join(self._said), self._is_default)
            self._said = None
        self._path.pop()

    def _put(self, name: str, value: str, is_default: bool) -> None:
        known = self.values.setdefault(name, [])
        if value.strip() and len(known) < _MOST_VALUES and len(self.values) < _MOST_VALUES:
            known.insert(0 if is_default else len(known), value[:_LONGEST])


def _short(name: str) -> str:
    space, _, local = name.rpartition(" ")
    return f"{_SPACES.get(space, '?')}:{local}"


def _long(name: str) -> str:
    short, _, local = name.partition(":")
    return next(f"{space} {local}" for space, prefix in _SPACES.items() if prefix == short)


def _first(
    values: Values, names: Sequence[str], read: Callable[[str], Found | None]
) -> Found | None:
    """The first value, by the order of the names, that makes sense."""
    for name in names:
        for value in values.get(name, [])[:1]:
            found = guarded(read, value)
            if found is not None:
                return found
    return None


def _text(value: str) -> str | None:
    return one_line(value, LONGEST_TEXT) or None


def _name(value: str) -> str | None:
    return one_line(value, LONGEST_NAME) or None


def _keywords(values: Sequence[str]) -> tuple[str, ...]:
    found = (one_line(value, LONGEST_KEYWORD) for value in values[:MOST_KEYWORDS])
    return tuple(dict.fromkeys(word for word in found if word))


def _camera(values: Values) -> str | None:
    make, model = (
        one_line(values.get(name, [""])[0], LONGEST_NAME) for name in ("tiff:Make", "tiff:Model")
    )
    return named(make, model)


def _rating(value: str) -> int | None:
    """0 to 5, or -1 for what was rejected; some write it as a fraction."""
    number = float(value)
    return math.floor(number + 0.5) if -1 <= number <= 5 else None


def _number(value: str) -> float | None:
    over, _, under = value.partition("/")
    number = float(over) / float(under or 1)
    return number if math.isfinite(number) and 0 < number < 1e6 else None


def _iso(value: str) -> int | None:
    number = _number(value)
    return int(number) or None if number is not None else None


def _place(values: Values) -> tuple[float, float] | None:
    latitude = _degrees(values["exif:GPSLatitude"][0], "NS")
    longitude = _degrees(values["exif:GPSLongitude"][0], "EW")
    return on_earth(latitude, longitude)


def _degrees(written: str, signs: str) -> float:
    """Of "52,22.5N" or "52,22,30N". Raises ValueError."""
    written = written.strip()
    sign = written[-1:].upper()
    if sign not in signs or not sign:
        raise ValueError(f"{written!r} is no place")
    degrees, minutes, seconds = (*map(float, written[:-1].split(",")), 0.0, 0.0)[:3]
    value = round(degrees + minutes / 60 + seconds / 3600, 7)
    return -value if sign == signs[1] else value
