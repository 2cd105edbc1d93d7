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


class Search(Request):
    """Answered by `Hits`, in pieces; exact: out of the store itself, which takes longer."""

    patient = True
    terms: tuple[Term, ...] = many(record(Term), most=64)
    top: int = integer(1, MOST_TOP, default=20)
    within: tuple[bytes, ...] = many(pathname(), most=64, default=())
    offline: bool = boolean(default=False)
    exact: bool = boolean(default=False)
    timeout: float = real(0, 86400, default=30.0)


class AskStatus(Request):
    """Answered by `Status`."""


class Add(Request):
    """Watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS)


class Remove(Request):
    """No longer watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(pathname(), most=MOST_PATHS)


class AskRoots(Request):
    """Answered by `Roots`."""


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


class Reload(Request):
    """Has the daemon read its settings again. Answered by `Noted`, before it does."""


class Stop(Request):
    """Ends the daemon. Answered by `Stopping`, before it does."""
