"""What the daemon answers of files and pictures, but for `Hits`."""

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
from imgq.wire.searches import HITS_A_REPLY, ROWS_A_REPLY, Reply, Seen


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
