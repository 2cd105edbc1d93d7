"""Every message between client and daemon, and how it is packed.

A request is one frame, the msgpack array [PROTOCOL, number, kind, fields]; each of its replies is one
frame too, [PROTOCOL, number, more, kind, fields], where `more` says that others follow. The first two
places never change, so that any two versions can tell each other that they differ.
"""

from __future__ import annotations

import msgpack

from imgq.errors import Failure, ProtocolMismatch
from imgq.record import (
    BadField,
    Record,
    binary,
    boolean,
    choice,
    integer,
    many,
    maybe,
    real,
    record,
    string,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROTOCOL = 1
MOST_REQUEST = 65 << 20
MOST_REPLY = 16 << 20
MOST_PICTURE = 64 << 20
MOST_TOP = 100_000
HITS_A_REPLY = 1000
ROWS_A_REPLY = 2000

# More than any message has: a map for each row and two for each hit; the message, its rows, its folders.
MOST_MAPS = 2 * ROWS_A_REPLY + 100
MOST_LISTS = 64


class BadMessage(Failure):
    """A frame is no message of this protocol."""

    exit_code = 2


# ── what a client asks ──────────────────────────────────────────────────────────────────────────────


class Request(Record):
    """What a client asks. `patient` requests may wait for the model, the embedder or the index."""

    patient = False


class Term(Record):
    """One text or one picture (the bytes of its file) of a query; a weight under 0 means: without it."""

    text: str | None = maybe(string(most=4096), default=None)
    picture: bytes | None = maybe(binary(most=MOST_PICTURE), default=None)
    weight: float = real(-1000, 1000, default=1.0)


class Search(Request):
    """Answered by `Hits`, in pieces."""

    patient = True
    terms: tuple[Term, ...] = many(record(Term), most=64)
    top: int = integer(1, MOST_TOP, default=20)
    within: tuple[bytes, ...] = many(binary(), most=64, default=())
    offline: bool = boolean(default=False)
    timeout: float = real(0, 86400, default=30.0)


class AskStatus(Request):
    """Answered by `Status`."""


class Add(Request):
    """Watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(binary(), most=256)


class Remove(Request):
    """No longer watches folders. Answered by `Roots`."""

    paths: tuple[bytes, ...] = many(binary(), most=256)


class AskRoots(Request):
    """Answered by `Roots`."""


class Settle(Request):
    """Waits until every change made before the request is in the index. Answered by `Settled`."""

    patient = True
    timeout: float = real(0, 86400, default=30.0)


class AskErrors(Request):
    """Answered by `Errors`, in pieces."""


class Retry(Request):
    """Takes every file that could not be indexed again. Answered by `Taken`."""


class AskInfo(Request):
    """Answered by `Info`."""

    path: bytes = binary()


class AskFiles(Request):
    """Answered by `Files`, in pieces."""


class Reindex(Request):
    """Embeds the pictures under these paths again, all of them if there are none. Answered by `Taken`."""

    paths: tuple[bytes, ...] = many(binary(), most=256, default=())


class Export(Request):
    """Answered by `Vectors`, in pieces."""


class AskThumbnails(Request):
    """Answered by a `Thumbnail` a path, in their order."""

    patient = True
    paths: tuple[bytes, ...] = many(binary(), most=1000)
    longest: int = integer(16, 2048, default=320)


class Stop(Request):
    """Ends the daemon. Answered by `Stopping`, before it does."""


# ── what the daemon answers ─────────────────────────────────────────────────────────────────────────


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

    path: bytes = binary()
    width: int | None = maybe(integer(), default=None)
    height: int | None = maybe(integer(), default=None)
    format: str | None = maybe(string(), default=None)
    size: int = integer()
    mtime: str = string()
    taken_at: str | None = maybe(string(), default=None)
    date_from: str = choice("exif", "file")
    camera: str | None = maybe(string(), default=None)
    gps: Place | None = maybe(record(Place), default=None)
    hash: str | None = maybe(string(most=64), default=None)
    offline: bool = boolean()


class Hit(Seen):
    """One file in an answer, with its score (cosine)."""

    score: float = real()


class Hits(Reply):
    """A piece of the answer to a search, best first; `left_out` counts offline files left out."""

    model: str = string()
    took_ms: float = real(0)
    index: Freshness = record(Freshness)
    left_out: int = integer(default=0)
    offline_roots: tuple[bytes, ...] = many(binary(), default=())
    hits: tuple[Hit, ...] = many(record(Hit), most=HITS_A_REPLY)


class Process(Record):
    role: str = string()
    pid: int = integer()


class ModelState(Record):
    """The model in use; device and precision are those really used, null until the embedder has run."""

    name: str = string()
    dim: int = integer()
    device: str | None = maybe(string(), default=None)
    precision: str | None = maybe(string(), default=None)
    state: str = choice("loading", "ready", "unloaded", "failed")


class IndexState(Record):
    """Counts of files (disjoint but for `pictures`) and the bytes of the index on disk."""

    files: int = integer()
    pictures: int = integer()
    pending: int = integer()
    failed: int = integer()
    offline: int = integer()
    ignored: int = integer()
    bytes: int = integer()


class Root(Record):
    path: bytes = binary()
    state: str = choice("watching", "scanning", "offline", "denied")
    files: int = integer()


class Rates(Record):
    pictures_per_s: float = real(0)


class Counters(Record):
    """Since the daemon's start."""

    decoded: int = integer(default=0)
    embedded: int = integer(default=0)
    reused: int = integer(default=0)
    failed: int = integer(default=0)
    rescans: int = integer(default=0)
    overflows: int = integer(default=0)
    restarts: int = integer(default=0)


class Trouble(Record):
    """Something that works less well than it should, and what to do."""

    code: str = string()
    path: bytes | None = maybe(binary(), default=None)
    message: str = string()
    remedy: str = string(default="")


class Status(Reply):
    version: str = string()
    pid: int = integer()
    processes: tuple[Process, ...] = many(record(Process))
    uptime_s: float = real(0)
    state: str = choice("starting", "indexing", "idle", "paused")
    settled: bool = boolean()
    model: ModelState = record(ModelState)
    index: IndexState = record(IndexState)
    roots: tuple[Root, ...] = many(record(Root))
    rates: Rates = record(Rates)
    counters: Counters = record(Counters)
    degraded: tuple[Trouble, ...] = many(record(Trouble))


class Roots(Reply):
    roots: tuple[Root, ...] = many(record(Root))


class Settled(Reply):
    settled: bool = boolean()
    pending: int = integer()


class FileError(Record):
    """A file that could not be indexed; times in UTC."""

    path: bytes = binary()
    reason: str = string()
    kind: str = string()
    attempts: int = integer()
    first_seen: str = string()
    last_seen: str = string()


class Errors(Reply):
    errors: tuple[FileError, ...] = many(record(FileError), most=ROWS_A_REPLY)


class Taken(Reply):
    """So many files are taken again."""

    files: int = integer()


class Info(Reply):
    """What the index knows of a file, and in which state it is there."""

    state: str = choice("indexed", "failed", "ignored", "pending", "unknown")
    file: Seen | None = maybe(record(Seen), default=None)
    error: FileError | None = maybe(record(FileError), default=None)
    lens: str | None = maybe(string(), default=None)
    copies: tuple[bytes, ...] = many(binary(), default=())
    model: str | None = maybe(string(), default=None)


class KnownFile(Record):
    path: bytes = binary()
    hash: str = string(most=64)
    size: int = integer()
    mtime: str = string()
    offline: bool = boolean()


class Files(Reply):
    files: tuple[KnownFile, ...] = many(record(KnownFile), most=ROWS_A_REPLY)


class Vector(Record):
    """A file's embedding: little-endian float32."""

    path: bytes = binary()
    hash: str = string(most=64)
    vector: bytes = binary(most=65536)


class Vectors(Reply):
    vectors: tuple[Vector, ...] = many(record(Vector), most=ROWS_A_REPLY)


class Thumbnail(Reply):
    """A small upright JPEG, or nothing where the file shows none."""

    jpeg: bytes | None = maybe(binary(most=4 << 20), default=None)


class Stopping(Reply):
    processes: tuple[Process, ...] = many(record(Process))


# ── packing ─────────────────────────────────────────────────────────────────────────────────────────

REQUESTS: dict[str, type[Request]] = {cls.__name__: cls for cls in Request.__subclasses__()}
REPLIES: dict[str, type[Reply]] = {cls.__name__: cls for cls in Reply.__subclasses__()}


def pack_request(request: Request, number: int) -> bytes:
    return _packed([PROTOCOL, number, type(request).__name__, request.plain()])


def unpack_request(frame: bytes) -> tuple[int, Request]:
    """The request and its number. Raises ProtocolMismatch or BadMessage."""
    _, number, kind, fields = _unpacked(frame, MOST_REQUEST, 4)
    return number, _made(REQUESTS, kind, fields)


def pack_reply(reply: Reply, number: int, more: bool = False) -> bytes:
    return _packed([PROTOCOL, number, more, type(reply).__name__, reply.plain()])


def unpack_reply(frame: bytes) -> tuple[int, bool, Reply]:
    """The number of the request, whether more replies follow, and the reply itself."""
    _, number, more, kind, fields = _unpacked(frame, MOST_REPLY, 5)
    return number, bool(more), _made(REPLIES, kind, fields)


def request_number(frame: bytes) -> int:
    """The number of a request that may be of another protocol; 0 where there is none to be read."""
    try:
        number = _array(frame, MOST_REQUEST)[1]
    except BadMessage:
        return 0
    return number if _is_number(number) else 0


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _packed(message: list[Any]) -> bytes:
    # A sentence may name a file whose name is no text: it must not keep an answer from leaving.
    packed: bytes = msgpack.packb(message, unicode_errors="backslashreplace")
    return packed


def _unpacked(frame: bytes, most: int, places: int) -> list[Any]:
    message = _array(frame, most)
    if message[0] != PROTOCOL:
        raise ProtocolMismatch(
            f"the message is of protocol {message[0]!s:.20}, this imgq speaks {PROTOCOL}",
            "client and daemon are of different versions: `imgq restart` after an update",
        )
    if len(message) != places or not _is_number(message[1]):
        raise BadMessage("the message is not of imgq's form")
    return message


def _array(frame: bytes, most: int) -> list[Any]:
    """An honest megabyte of empty maps would become 64 MB: every size is bounded before it is made."""
    if len(frame) > most:
        raise BadMessage(f"the message has {len(frame)} bytes, {most} is the most")
    try:
        message = msgpack.unpackb(
            frame,
            max_map_len=64,
            max_array_len=4096,
            max_ext_len=0,
            strict_map_key=True,
            object_hook=_at_most(MOST_MAPS, "maps"),
            list_hook=_at_most(MOST_LISTS, "lists"),
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise BadMessage(
            f"the message cannot be read: {str(error) or type(error).__name__}"
        ) from None
    if not isinstance(message, list) or len(message) < 2:
        raise BadMessage("the message is not of imgq's form")
    return message


def _at_most(most: int, what: str) -> Any:
    """A hook of msgpack's that refuses a message of too many small parts, while it is being read."""
    left = most

    def count(part: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it has more than {most} {what}")
        return part

    return count


def _made(kinds: dict[str, type[Any]], kind: Any, fields: Any) -> Any:
    if not isinstance(kind, str) or kind not in kinds or not isinstance(fields, dict):
        raise BadMessage(f"there is no message {str(kind)[:40]!r}")
    try:
        return kinds[kind].from_plain(fields)
    except BadField as error:
        raise BadMessage(str(error)) from None
