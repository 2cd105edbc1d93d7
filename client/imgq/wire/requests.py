"""What a client asks, but for `Search`."""

from __future__ import annotations

from imgq.record import (
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
from imgq.wire.searches import MOST_NAME, Request, Search, Term

MOST_PATHS = 4096
# Terms of a batch, too.
MOST_QUERIES = 2000
# Hits that the queries of a batch may have, all together: they are in memory at a time.
MOST_FOUND = 500_000
NEAR = 0.99


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
    """Has the daemon read its settings again. Answered by `Noted`, once they are in force: where it starts
    anew for that it hangs up, and answers who asks again; or after 13 s, where that takes longer."""

    slow = True


class ReadKeys(Request):
    """Has the daemon read anew which keys are allowed. Answered by `Noted`, once nobody is listened to any
    more whose key is not."""


class Stop(Request):
    """Ends the daemon. Answered by `Stopping`, before it does."""
