"""What the daemon answers."""

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

HITS_A_REPLY = 1000
ROWS_A_REPLY = 2000
MOST_NAMES = 1000


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


class Process(Record):
    role: str = string()
    pid: int = integer()


class ModelState(Record):
    """The model in use; device and precision are those really used, null until the embedder has run."""

    name: str = string()
    dim: int = integer()
    device: str | None = maybe(string(), default=None)
    precision: str | None = maybe(string(), default=None)
    engine: str | None = maybe(string(), default=None)
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
    path: bytes = pathname()
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
    path: bytes | None = maybe(pathname(), default=None)
    message: str = string()
    remedy: str = string(default="")


class Status(Reply):
    """waiting: why indexing waits; null where it does not."""

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
    waiting: str | None = maybe(string(), default=None)


class StageTime(Record):
    """How often a stage was gone through since the daemon's start, and its seconds on the clock, added up
    over all that work beside each other; of the latest times, where each counts, the median and the 95th
    percentile in seconds."""

    stage: str = string(most=64)
    count: int = integer()
    seconds: float = real(0)
    p50_s: float | None = maybe(real(0), default=None)
    p95_s: float | None = maybe(real(0), default=None)


class Usage(Process):
    """What a process takes: bytes of memory, and seconds of a core since it began; null where the system
    does not tell."""

    memory_bytes: int | None = maybe(integer(), default=None)
    cpu_s: float | None = maybe(real(0), default=None)


class SelfTested(Record):
    """So many queries were held against the exact answer, and this share of the ten nearest was found, null
    before the first; deep: how deep searches look."""

    queries: int = integer(default=0)
    recall: float | None = maybe(real(0, 1), default=None)
    deep: int = integer(default=0)


class Stats(Reply):
    """Where time and memory go; `codes_bytes` are those in memory that searches go through."""

    version: str = string()
    model: str = string()
    uptime_s: float = real(0)
    rates: Rates = record(Rates)
    counters: Counters = record(Counters)
    indexing: tuple[StageTime, ...] = many(record(StageTime))
    search: tuple[StageTime, ...] = many(record(StageTime))
    processes: tuple[Usage, ...] = many(record(Usage))
    index: IndexState = record(IndexState)
    codes_bytes: int = integer()
    selftest: SelfTested = record(SelfTested, default=SelfTested())


class Roots(Reply):
    roots: tuple[Root, ...] = many(record(Root))


class Names(Reply):
    names: tuple[str, ...] = many(string(), most=MOST_NAMES)


class Settled(Reply):
    """waiting: why indexing waits, where it does; nothing will settle then."""

    settled: bool = boolean()
    pending: int = integer()
    waiting: str | None = maybe(string(), default=None)


class Finding(Record):
    """Something that is wrong: where, what, and what to do; `files` is how many it concerns."""

    code: str = string(most=64)
    path: bytes = pathname()
    message: str = string()
    remedy: str = string()
    files: int = integer()
    repaired: bool = boolean(default=False)


class Checked(Reply):
    """How much was looked at, the folders that could not be, and a piece of what is wrong."""

    files: int = integer()
    folders: int = integer()
    pictures: int = integer()
    skipped: tuple[bytes, ...] = many(pathname(), default=())
    findings: tuple[Finding, ...] = many(record(Finding), most=ROWS_A_REPLY)


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


class Taken(Reply):
    """So many files are taken again."""

    files: int = integer()


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


class Noted(Reply):
    """It will be done; there is nothing to tell of it."""


class Stopping(Reply):
    processes: tuple[Process, ...] = many(record(Process))
