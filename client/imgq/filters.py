"""What narrows a search, as it is written: the values of the options to one `wire.Filter`.

    --size ">2MP"  ">=1920x1080"  "<500KB"     --rating 4  ">=4"     --near 52.1,4.3,10

An option that is given again: of --in, --camera, --lens, --ext, --near and --orientation one must hold, of
the others all.
"""

from __future__ import annotations

from imgq import dates
from imgq.errors import UsageError
from imgq.paths import absolute
from imgq.wire import Filter, Instant, Near, Range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ORIENTATIONS = ("landscape", "portrait", "square")
FARTHEST_KM = 20_100
_SIGNS = (">=", "<=", ">", "<", "=")
_PIXELS = {"mp": 10**6, "megapixels": 10**6}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MOST = 1 << 61


def read(values: dict[str, list[str]]) -> Filter:
    """The filter of these options' values. Raises UsageError that names the option."""

    def each(option: str) -> list[str]:
        return values.get(option, [])

    instants = {
        option: [dates.instant(option, written) for written in each(option)]
        for option in ("--after", "--before")
    }
    return Filter(
        within=tuple(map(absolute, each("--in"))),
        after=_one(instants["--after"], max),
        before=_one(instants["--before"], min),
        cameras=tuple(_text("--camera", written) for written in each("--camera")),
        lenses=tuple(_text("--lens", written) for written in each("--lens")),
        extensions=tuple(ext for written in each("--ext") for ext in _extensions(written)),
        near=tuple(map(_near, each("--near"))),
        ranges=(
            *(found for written in each("--size") for found in _sizes(written)),
            *map(_rating, each("--rating")),
        ),
        orientations=tuple(dict.fromkeys(map(_orientation, each("--orientation")))),
        words=_words(each("--text")),
    )


def _one(found: list[Instant], which: Callable[[Iterator[int]], int]) -> Instant | None:
    """The narrowest."""
    if not found:
        return None
    return Instant(utc=which(each.utc for each in found), clock=which(each.clock for each in found))


def _text(option: str, written: str) -> str:
    if not written.strip():
        raise UsageError(f"{option} takes a part of a name, and there is none", f"`{option} canon`")
    return written.strip()


def _extensions(written: str) -> list[str]:
    found = [
        part.strip().lower().removeprefix("*").removeprefix(".") for part in written.split(",")
    ]
    if not all(found) or any("/" in part or "." in part for part in found):
        raise UsageError(f"--ext takes the end of a file's name, not {written!r}", "`--ext jpg`")
    return found


def _near(written: str) -> Near:
    try:
        lat, lon, km = (float(part) for part in written.split(","))
        if abs(lat) <= 90 and abs(lon) <= 180 and 0 < km <= FARTHEST_KM:
            return Near(lat=lat, lon=lon, km=km)
    except ValueError:
        pass
    raise UsageError(
        f"--near takes LAT,LON,KM, not {written!r}",
        "degrees, north and east positive, and kilometers: `--near 52.37,4.89,10`",
    )


def _sizes(written: str) -> list[Range]:
    sign, value = _signed(written.lower().replace(" ", "").replace("\u00d7", "x"))
    width, x, height = value.partition("x")
    found: list[Range | None]
    if x and width.isdigit() and height.isdigit():
        found = [_range("width", sign, width, 1), _range("height", sign, height, 1)]
    else:
        number = value.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = value[len(number) :]
        of, size = ("pixels", _PIXELS) if unit in _PIXELS else ("bytes", _BYTES)
        found = [_range(of, sign, number, size[unit]) if unit in size else None]
    if None in found:
        raise UsageError(
            f"--size takes megapixels, width and height, or bytes, not {written!r}",
            "`--size '>2MP'`, `--size '>=1920x1080'`, `--size '<500KB'`",
        )
    return [each for each in found if each is not None]


def _rating(written: str) -> Range:
    sign, value = _signed(written.replace(" ", ""))
    found = _range("rating", sign, value.removeprefix("-"), 1) if value.isascii() else None
    if value == "-1" and sign == "=":
        return Range(of="rating", low=-1, high=-1)
    if found is None or value not in ("0", "1", "2", "3", "4", "5"):
        raise UsageError(
            f"--rating takes a number of stars from 0 to 5, not {written!r}",
            "`--rating 4`, `--rating '>=4'`; -1 is what was rejected",
        )
    return found


def _orientation(written: str) -> str:
    word = written.strip().lower()
    if word not in ORIENTATIONS:
        raise UsageError(
            f"--orientation is none of {', '.join(ORIENTATIONS)}: {written!r}",
            "`--orientation portrait`",
        )
    return word


def _words(written: list[str]) -> str | None:
    for each in written:
        if not any(character.isalnum() for character in each):
            raise UsageError(
                f"--text takes words, and {each!r} has none", "`--text 'holiday rome'`"
            )
    return " ".join(written) if written else None


def _signed(written: str) -> tuple[str, str]:
    """A sign, "=" where there is none, and what comes after it."""
    for sign in _SIGNS:
        if written.startswith(sign):
            return sign, written[len(sign) :]
    return "=", written


def _range(of: str, sign: str, number: str, unit: int) -> Range | None:
    """The whole numbers that stand so to `number` units. Equal is what is rounded to it, by the digits
    it is written with."""
    whole, _, part = number.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole + part) > 12:
        return None
    value, scale = int(whole + part), 10 ** len(part)
    at_least, at_most = -(-value * unit // scale), value * unit // scale
    match sign:
        case ">":
            return Range(of=of, low=min(at_most + 1, _MOST))
        case ">=":
            return Range(of=of, low=min(at_least, _MOST))
        case "<":
            return Range(of=of, high=min(at_least - 1, _MOST))
        case "<=":
            return Range(of=of, high=min(at_most, _MOST))
    half = 2 * scale
    low, beyond = -(-(2 * value - 1) * unit // half), -(-(2 * value + 1) * unit // half)
    return Range(of=of, low=min(low, _MOST), high=min(beyond - 1, _MOST))
