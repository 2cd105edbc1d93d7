"""What a client asks."""

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
MOST_PATHS = 4096
# Terms of a batch, too.
MOST_QUERIES = 2000
MOST_SECONDS = 1 << 62
MOST_WORDS = 1000
MOST_NAME = 200
NEAR = 0.99


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


class BatchTerm(Term):
    """A term of the query of this number, 0 the first."""

    query: int = integer(0, MOST_QUERIES - 1)


class Batch(Request):
    """Many queries with the same options, whose own terms are none. Answered by `Hits`, in pieces, which
    tell the query of each hit. first: what the first query is called where one is wrong, in numbers of
    lines."""

    patient = True
    options: Search = record(Search)
    terms: tuple[BatchTerm, ...] = many(record(BatchTerm), most=MOST_QUERIES)
    first: int = integer(1, default=1)


class Follow(Request):
    """Tells the files that come to show another picture than before and are found by a search, which may
    be for anything: then it has no terms. From the number `after` of the index `origin` on, from now on
    without. Answered by `Arrivals`, without an end."""

    patient = True
    search: Search = record(Search)
    origin: bytes | None = maybe(binary(most=64), default=None)
    after: int | None = maybe(integer(), default=None)


class AskStatus(Request):
    """Answered by `Status`."""


class AskStats(Request):
    """Answered by `Stats`."""


class Add(Request):
    """Watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS)


class Remove(Request):
    """No longer watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS)


class AskRoots(Request):
    """Answered by `Roots`."""


class AskNames(Request):
    """The cameras, or the lenses, that a filter can ask for. Answered by `Names`."""

    of: str = choice("camera", "lens")


class Settle(Request):
    """Waits until every change made before the request is in the index. Answered by `Settled`."""

    slow = True
    timeout: float = real(0, 86400, default=30.0)


class Check(Request):
    """Holds the index against itself and against the disk; of the disk only what lies under the paths, if
    there are any. repair: mends what can be; what lies now at a path that is a root is that root.
    Answered by `Checked`, in pieces."""

    slow = True
    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS, default=())
    repair: bool = boolean(default=False)


class AskErrors(Request):
    """Answered by `Errors`, in pieces."""


class Retry(Request):
    """Takes every file that could not be indexed again. Answered by `Taken`."""


class Dupes(Request):
    """Looks for files that show the same picture, under the folders, if there are any; near: how alike
    those are that nearly do, 1 for none of them. Answered by `Duplicates`, in pieces."""

    slow = True
    within: tuple[bytes, ...] = many(pathname(), most=64, default=())
    near: float = real(0.01, 1, default=NEAR)


class AskInfo(Request):
    """Answered by `Info`."""

    path: bytes = pathname()


class AskFiles(Request):
    """Answered by `Files`, in pieces."""


class Reindex(Request):
    """Embeds the pictures under these paths again, all of them if there are none. Answered by `Taken`."""

    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS, default=())


class Export(Request):
    """Answered by `Vectors`, in pieces."""


class AskThumbnails(Request):
    """Answered by a `Thumbnail` a path, in their order: JPEGs, or bare pixels as PPM has them."""

    patient = True
    paths: tuple[bytes, ...] = many(pathname(), most=1000)
    longest: int = integer(16, 1024, default=320)
    form: str = choice("jpeg", "ppm", default="jpeg")


class Pause(Request):
    """Has indexing wait for so many seconds, or until `Resume`. Answered by `Noted`."""

    seconds: float | None = maybe(real(1, 366 * 86400), default=None)


class Resume(Request):
    """Ends a `Pause`. Answered by `Noted`."""


class UseModel(Request):
    """Has this model be used as soon as every picture has a vector of it; keep: and the one in use kept
    beside it then. Answered by `Noted`, before that."""

    name: str = string(most=MOST_NAME)
    keep: bool = boolean(default=False)


class DropModel(Request):
    """Has the vectors of a model forgotten that is kept, or is coming. Answered by `Noted`."""

    name: str = string(most=MOST_NAME)


class Reload(Request):
    """Has the daemon read its settings again. Answered by `Noted`, before it does."""


class ReadKeys(Request):
    """Has the daemon read anew which keys are allowed. Answered by `Noted`, once nobody is listened to any
    more whose key is not."""


class Stop(Request):
    """Ends the daemon. Answered by `Stopping`, before it does."""
