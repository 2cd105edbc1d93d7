"""What the daemon answers of itself: what there is, how far it is, and what came of a request."""

from __future__ import annotations

from imgq.record import (
    Record,
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
from imgq.wire.searches import ROWS_A_REPLY, Reply

MOST_NAMES = 1000
MOST_ROOTS = MOST_TROUBLES = 1000
# Characters of what a library says of why it failed: a status has to leave, whatever that is.
MOST_SAID = 65536


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


class HeldModel(Record):
    """A model whose vectors the index has: it is in use, or comes into use, or can be asked, too."""

    name: str = string()
    dim: int = integer()
    role: str = choice("used", "coming", "kept")


class ModelChange(Record):
    """The model that comes into use: so many of all pictures have a vector of it by now, and so many get
    one a second. keep: whether the one in use is kept then. trouble: why it does not go on; null where
    it does."""

    model: str = string()
    done: int = integer()
    of: int = integer()
    pictures_per_s: float = real(0, default=0.0)
    keep: bool = boolean(default=False)
    trouble: str | None = maybe(string(most=MOST_SAID), default=None)


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
    message: str = string(most=MOST_SAID)
    remedy: str = string(default="")


class Status(Reply):
    """waiting: why indexing waits; null where it does not. memory_bytes: of all processes together, where
    the system tells. models: all that the index has vectors of, the one in use first; change: where
    another comes into use."""

    version: str = string()
    pid: int = integer()
    processes: tuple[Process, ...] = many(record(Process))
    uptime_s: float = real(0)
    state: str = choice("starting", "indexing", "idle", "paused")
    settled: bool = boolean()
    model: ModelState = record(ModelState)
    index: IndexState = record(IndexState)
    roots: tuple[Root, ...] = many(record(Root), most=MOST_ROOTS)
    rates: Rates = record(Rates)
    counters: Counters = record(Counters)
    degraded: tuple[Trouble, ...] = many(record(Trouble), most=MOST_TROUBLES)
    waiting: str | None = maybe(string(), default=None)
    memory_bytes: int | None = maybe(integer(), default=None)
    change: ModelChange | None = maybe(record(ModelChange), default=None)
    models: tuple[HeldModel, ...] = many(record(HeldModel), default=())


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
    roots: tuple[Root, ...] = many(record(Root), most=MOST_ROOTS)


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


class Taken(Reply):
    """So many files are taken again."""

    files: int = integer()


class Noted(Reply):
    """It will be done; there is nothing to tell of it."""


class Stopping(Reply):
    processes: tuple[Process, ...] = many(record(Process))
