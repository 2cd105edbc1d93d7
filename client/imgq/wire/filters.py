"""What narrows a search: each thing that is given must hold; of those that are lists, one of the list."""

from __future__ import annotations

from imgq.record import Record, choice, integer, many, maybe, pathname, real, record, string

MOST_SECONDS = 1 << 62
MOST_WORDS = 1000


class Instant(Record):
    """A moment: seconds since 1970 in UTC, and as the clock stood at it where the question was asked.
    The second counts for pictures whose zone nobody knows."""

    utc: int = integer(-MOST_SECONDS, MOST_SECONDS)
    clock: int = integer(-MOST_SECONDS, MOST_SECONDS)


class Near(Record):
    """Within so many kilometers, on the globe, of a place: degrees, north and east positive."""

    lat: float = real(-90, 90)
    lon: float = real(-180, 180)
    km: float = real(0, 50_000)


class Range(Record):
    """A number of a picture that lies between two, both included."""

    of: str = choice("pixels", "width", "height", "bytes", "rating")
    low: int = integer(-MOST_SECONDS, MOST_SECONDS, default=-MOST_SECONDS)
    high: int = integer(-MOST_SECONDS, MOST_SECONDS, default=MOST_SECONDS)


class Filter(Record):
    """within: folders. after: taken then or later; before: taken before. cameras, lenses: a part of the
    name. extensions: of the file's name. words: all of them in names and notes."""

    within: tuple[bytes, ...] = many(pathname(), most=64, default=())
    after: Instant | None = maybe(record(Instant), default=None)
    before: Instant | None = maybe(record(Instant), default=None)
    cameras: tuple[str, ...] = many(string(most=MOST_WORDS), most=64, default=())
    lenses: tuple[str, ...] = many(string(most=MOST_WORDS), most=64, default=())
    extensions: tuple[str, ...] = many(string(most=64), most=64, default=())
    near: tuple[Near, ...] = many(record(Near), most=64, default=())
    ranges: tuple[Range, ...] = many(record(Range), most=64, default=())
    orientations: tuple[str, ...] = many(
        choice("landscape", "portrait", "square"), most=3, default=()
    )
    words: str | None = maybe(string(most=MOST_WORDS), default=None)
