"""What the daemon answers of files and pictures."""

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
from imgq.wire.reports import ROWS_A_REPLY, Freshness, Reply

HITS_A_REPLY = 1000


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
    """A piece of the answer to a search, best first; `left_out` counts offline files left out."""

    model: str = string()
    took_ms: float = real(0)
    index: Freshness = record(Freshness)
    left_out: int = integer(default=0)
    offline_roots: tuple[bytes, ...] = many(pathname(), default=())
    hits: tuple[Hit, ...] = many(record(Hit), most=HITS_A_REPLY)


class Arrival(Seen):
    """A file that came to show what it shows: its sequence number, and its score where something was
    asked for."""

    seq: int = integer()
    score: float | None = maybe(real(), default=None)


class Arrivals(Reply):
    """What arrived since the reply before, up to the number `last` of the index `origin`; nothing as a
    sign of life. gap: whether something may have arrived that is told by nobody any more."""

    origin: bytes = binary(most=64)
    last: int = integer()
    gap: bool = boolean(default=False)
    arrivals: tuple[Arrival, ...] = many(record(Arrival), most=HITS_A_REPLY)


class Duplicate(Seen):
    """A file of a group, whose keeper is the first of it. kind: why the group is one; alike: 1 for the
    same."""

    group: int = integer()
    kind: str = choice("bytes", "pixels", "near")
    alike: float = real(0, 1)


class Duplicates(Reply):
    """Files of groups, each group whole before the next. Taking all but the first of every group away
    leaves each picture once."""

    files: tuple[Duplicate, ...] = many(record(Duplicate), most=HITS_A_REPLY)


class FileError(Record):
    """A file that could not be indexed; times in UTC."""

    path: bytes = pathname()
    reason: str = string()
    kind: str = string()
    attempts: int = integer()
    first_seen: str = string()
    last_seen: str = string()


class Errors(Reply):
    errors: tuple[FileError, ...] = many(record(FileError), most=ROWS_A_REPLY)


class Notes(Record):
    """What else is written of a picture: exposure_time in seconds, focal_length in millimeters, rating 0 to
    5 or -1 for rejected; orientation is EXIF's, how it lies in the file."""

    lens: str | None = maybe(string(), default=None)
    exposure_time: float | None = maybe(real(0), default=None)
    f_number: float | None = maybe(real(0), default=None)
    iso: int | None = maybe(integer(), default=None)
    focal_length: float | None = maybe(real(0), default=None)
    title: str | None = maybe(string(), default=None)
    description: str | None = maybe(string(), default=None)
    keywords: tuple[str, ...] = many(string(), default=())
    rating: int | None = maybe(integer(-1, 5), default=None)
    orientation: int | None = maybe(integer(1, 8), default=None)


class Info(Reply):
    """What the index knows of a file, and in which state it is there."""

    state: str = choice("indexed", "failed", "ignored", "pending", "unknown")
    file: Seen | None = maybe(record(Seen), default=None)
    error: FileError | None = maybe(record(FileError), default=None)
    notes: Notes | None = maybe(record(Notes), default=None)
    sidecar: bytes | None = maybe(pathname(), default=None)
    copies: tuple[bytes, ...] = many(pathname(), default=())
    model: str | None = maybe(string(), default=None)


class KnownFile(Record):
    path: bytes = pathname()
    hash: str = string(most=64)
    size: int = integer()
    mtime: str = string()
    offline: bool = boolean()


class Files(Reply):
    files: tuple[KnownFile, ...] = many(record(KnownFile), most=ROWS_A_REPLY)


class Vector(Record):
    """A file's embedding: little-endian float32."""

    path: bytes = pathname()
    hash: str = string(most=64)
    vector: bytes = binary(most=65536)


class Vectors(Reply):
    vectors: tuple[Vector, ...] = many(record(Vector), most=ROWS_A_REPLY)


class Thumbnail(Reply):
    """A small upright picture, or nothing where the file shows none."""

    picture: bytes | None = maybe(binary(most=4 << 20), default=None)
