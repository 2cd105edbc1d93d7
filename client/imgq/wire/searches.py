"""A search and its answer: all that a client loads for one. Others are in `requests`, `replies`, and
`reports`."""

from __future__ import annotations

from imgq.record import (
    Record,
    binary,
    boolean,
    choice,
    integer,
    many,
    maybe,
    pathname,
    real,
    record,
    string,
)

MOST_PICTURE = 64 << 20
MOST_TOP = 100_000
MOST_SECONDS = 1 << 62
MOST_WORDS = 1000
MOST_NAME = 200
# Of a reply, which has either.
HITS_A_REPLY = 1000
ROWS_A_REPLY = 2000
MOST_OFFLINE = 1000


class Request(Record):
    """What a client asks. `patient` requests may wait for the model or the embedder, `slow` ones for all
    that the index has to do."""

    patient = False
    slow = False


class Term(Record):
    """One text or one picture (the bytes of its file) of a query; a weight under 0 means: without it.
    `name` is what a message calls the picture."""

    text: str | None = maybe(string(most=4096), default=None)
    picture: bytes | None = maybe(binary(most=MOST_PICTURE), default=None)
    name: str = string(default="")
    weight: float = real(-1000, 1000, default=1.0)


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
    """What narrows a search: all that is given must hold, of a list one.

    within: folders. after: taken then or later; before: taken before. cameras, lenses: a part of the
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


class Search(Request):
    """Answered by `Hits`, in pieces. Without terms the words of the filter rank. exact: out of the store
    itself, which takes longer. Hits have at least the score `min_score`; auto: at least one that is told
    from the query's own background. model: one that is kept beside the one in use."""

    patient = True
    terms: tuple[Term, ...] = many(record(Term), most=64)
    top: int = integer(1, MOST_TOP, default=20)
    filter: Filter = record(Filter, default=Filter())
    offline: bool = boolean(default=False)
    exact: bool = boolean(default=False)
    min_score: float | None = maybe(real(), default=None)
    auto: bool = boolean(default=False)
    model: str | None = maybe(string(most=MOST_NAME), default=None)
    timeout: float = real(0, 86400, default=30.0)


class Reply(Record):
    """What the daemon answers."""


class Fault(Reply):
    """The request failed: the failure's exit code and words."""

    exit_code: int = integer(1, 255)
    message: str = string(most=65536)
    hint: str = string(most=65536, default="")


class Freshness(Record):
    """How far the index is, in each answer."""

    files: int = integer()
    pending: int = integer()
    failed: int = integer()
    settled: bool = boolean()


class Place(Record):
    """Where a picture was taken: degrees, north and east positive."""

    lat: float = real(-90, 90)
    lon: float = real(-180, 180)


class Seen(Record):
    """What the index knows of one file; `mtime` in UTC, `taken_at` in the camera's own time."""

    path: bytes = pathname()
    width: int | None = maybe(integer(), default=None)
    height: int | None = maybe(integer(), default=None)
    format: str | None = maybe(string(), default=None)
    size: int = integer()
    mtime: str = string()
    taken_at: str | None = maybe(string(), default=None)
    date_from: str = choice("exif", "iptc", "xmp", "file")
    camera: str | None = maybe(string(), default=None)
    gps: Place | None = maybe(record(Place), default=None)
    hash: str | None = maybe(string(most=64), default=None)
    offline: bool = boolean()


class Hit(Seen):
    """One file in an answer, with its score (cosine); query: of a batch, 0 the first."""

    score: float = real()
    query: int = integer(default=0)


class Hits(Reply):
    """A piece of the answer to a search, best first; `left_out` counts offline files left out, and
    `offline_roots` names where they are, if not everywhere."""

    model: str = string()
    took_ms: float = real(0)
    index: Freshness = record(Freshness)
    left_out: int = integer(default=0)
    offline_roots: tuple[bytes, ...] = many(pathname(), most=MOST_OFFLINE, default=())
    hits: tuple[Hit, ...] = many(record(Hit), most=HITS_A_REPLY)
