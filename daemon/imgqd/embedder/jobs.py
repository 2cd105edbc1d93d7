"""What the pipeline is given, and what comes out of it."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from imgqd.records import Indexed

if TYPE_CHECKING:
    import numpy as np

    from imgqd.embedder.pipeline import Pipeline
    from imgqd.records import Change, Failure, Metadata, Noted, Stamp

_turn = itertools.count()


class Urgency(IntEnum):
    """The order of work: a person who waits, what just happened, the rest, newest first; and last what only
    makes more known of pictures that can be found."""

    QUERY = 0
    FRESH = 1
    BACKLOG = 2
    LAST = 3


@dataclass(frozen=True, slots=True)
class Job:
    """A file to bring up to date. `stamp` is what the scan saw of it. alone: a decoder was lost on it, by
    its fault or by that of a picture read before it; it is for one that has read none."""

    path: bytes
    stamp: Stamp
    urgency: Urgency = Urgency.BACKLOG
    alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class QueryPicture:
    """A picture that somebody asks with: an open descriptor of its bytes, closed by the pipeline."""

    descriptor: int
    answer: Future[QueryVector | Failure] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class QueryVector:
    """The embedding of a query's picture: float32 (dim,), unit norm; and the hash of its bytes."""

    hash: bytes
    vector: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ThumbnailOf:
    """A file of which somebody wants to see a small picture, as `form` says."""

    path: bytes
    longest: int
    form: str = "jpeg"
    answer: Future[bytes | Failure] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Noting:
    """A file whose picture is embedded, and whose metadata is to be read again."""

    path: bytes
    answer: Future[Noted | Failure] = field(default_factory=Future)


Work = Job | QueryPicture | ThumbnailOf | Noting


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job: a change for the store, or another try in `again` seconds, or neither where
    the file is gone. `decoded` and `embedded` say what it cost. source: the pipeline that it came from."""

    job: Job
    change: Change | None = None
    again: float | None = None
    decoded: bool = False
    embedded: bool = False
    source: Pipeline | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file whose bytes have been read. trusted: whether its stamp can belong to no other bytes."""

    job: Job
    stamp: Stamp
    hash: bytes
    trusted: bool

    @property
    def row(self) -> Indexed:
        """All that is needed where the picture is known."""
        return Indexed(self.job.path, self.stamp, self.hash, self.trusted)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A query's picture whose bytes have been read."""

    job: QueryPicture
    hash: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture whose pixels wait in a slot of a decoder's shared memory."""

    read: Hashed | Asked
    metadata: Metadata
    slab: int
    slot: int


class Turn(NamedTuple):
    """A place in a queue by urgency, then newest first, then who came first; no two have one number but
    those without work. A tuple, for a queue of 100,000 compares each with seventeen others."""

    urgency: Urgency
    age: int
    number: int
    work: Work | Decoded | None

    @classmethod
    def of(cls, work: Work | Decoded) -> Turn:
        subject = work.read.job if isinstance(work, Decoded) else work
        if isinstance(subject, Job):
            return cls(subject.urgency, -subject.stamp.mtime_ns, next(_turn), work)
        if isinstance(subject, Noting):
            return cls(Urgency.LAST, 0, next(_turn), work)
        return cls(Urgency.QUERY, 0, next(_turn), work)

    @classmethod
    def nothing(cls) -> Turn:
        """No work, before all work: wakes the embedder's thread, ends a lane's."""
        return cls(Urgency.QUERY, -(1 << 63), -1, None)
