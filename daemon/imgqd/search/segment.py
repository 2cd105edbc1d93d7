"""The cache's file: all that a search needs of the vectors, as it lies in memory, and the vectors.

A header tells what follows and its checksums; a file of which anything is not as told is none. The
vectors come last, each behind its picture's hash, so that the checksum that the store keeps of the two is
that of the bytes here: they are read one by one when they decide, and checked each time. `segment_writing`
writes it.
"""

from __future__ import annotations

import json
import math
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgqd.search.codes import Codes
from imgqd.search.prefix import Directions, Prefix
from imgqd.store.vectors.sums import HASH, sum_of

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.search.rows import Ids, Rows
    from imgqd.search.vectors import Vectors

MAGIC = b"imgq-vectors-1\n"
HEADER = 8192
SLICE = 1 << 24
# Room for rows that come later, so that what was read need not be moved for the first of them.
_SPARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Key:
    """Whose vectors these are; origin: of the index, in hex."""

    origin: str
    model: str
    dim: int


@dataclass(frozen=True, slots=True)
class Shape:
    """rows: how many; along: how many of them the prefix has, and how many directions (0, 0 without
    one); step, trained: of its directions."""

    rows: int
    along: tuple[int, int]
    step: float
    trained: int

    def sections(self, dim: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of each, in their order; the vectors with their hashes are behind them."""
        count, axes = self.along
        return {
            "ids": ((self.rows,), "<i8"),
            "sums": ((self.rows,), "<i8"),
            "steps": ((self.rows,), "<f4"),
            "codes": ((self.rows, dim), "|i1"),
            "mean": ((dim if axes else 0,), "<f4"),
            "axes": ((dim if axes else 0, axes), "<f4"),
            "along": ((count, axes), "|i1"),
        }

    def layout(self, dim: int) -> dict[str, tuple[int, tuple[int, ...], str]]:
        """Where each section starts, its shape and its type."""
        layout, start = {}, HEADER
        for name, (form, kind) in self.sections(dim).items():
            layout[name] = start, form, kind
            start += math.prod(form) * np.dtype(kind).itemsize
        return layout

    def start(self, dim: int) -> int:
        """Where the vectors begin."""
        sections = self.sections(dim).values()
        return HEADER + sum(math.prod(form) * np.dtype(kind).itemsize for form, kind in sections)

    def size(self, dim: int) -> int:
        """Bytes of the whole file."""
        return self.start(dim) + self.rows * (HASH + 4 * dim)


@dataclass(frozen=True, slots=True)
class Segment:
    """What the file holds: so many rows, and room for more behind them in ids, int64, and in the codes."""

    key: Key
    count: int
    ids: Ids
    codes: Codes
    prefix: Prefix | None
    vectors: Records


class Records:
    """The vectors in the file, by row. sums: int64 (n,), 0 for a row that is dead."""

    def __init__(self, descriptor: int, start: int, dim: int, sums: NDArray[np.int64]) -> None:
        self.sums = sums
        self._descriptor = descriptor
        self._start = start
        self._dim = dim
        self._width = HASH + 4 * dim
        weakref.finalize(self, os.close, descriptor)

    def read(self, places: Rows) -> Vectors:
        """float32 (n, dim); NaN where what is read is not what was written."""
        found = np.full((len(places), self._dim), np.nan, np.float32)
        for at, data in enumerate(self._bytes(places)):
            if len(data) == self._width and sum_of(data) == self.sums[places[at]]:
                found[at] = np.frombuffer(data, "<f4", offset=HASH)
        return found

    def _bytes(self, places: Rows) -> Iterator[memoryview]:
        is_run = len(places) > 1 and bool((np.diff(places) == 1).all())
        if is_run:
            data = memoryview(self._at(int(places[0]), len(places)))
            for start in range(0, len(places) * self._width, self._width):
                yield data[start : start + self._width]
        else:
            for place in places.tolist():
                yield memoryview(self._at(place, 1))

    def _at(self, place: int, count: int) -> bytes:
        with suppress(OSError):
            return os.pread(
                self._descriptor, count * self._width, self._start + place * self._width
            )
        return b""


def opened(path: Path) -> Segment | None:
    """What lies there; None where that is nothing, or not whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        key, shape, expected = _header(descriptor)
        arrays = {}
        for name, where in shape.layout(key.dim).items():
            spare = int(shape.rows * _SPARE) if name in ("ids", "steps", "codes") else 0
            arrays[name] = _read(descriptor, where, spare, expected[name])
    except (OSError, ValueError, LookupError, TypeError):
        os.close(descriptor)
        return None
    return Segment(
        key,
        shape.rows,
        arrays["ids"],
        Codes(arrays["codes"], arrays["steps"]),
        _prefix(shape, arrays),
        Records(descriptor, shape.start(key.dim), key.dim, arrays["sums"]),
    )


def _header(descriptor: int) -> tuple[Key, Shape, dict[str, str]]:
    """Whose it is, its shape and its checksums. Raises ValueError where this is no whole file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file")
    head = os.pread(descriptor, HEADER, 0)
    check, _, rest = head[len(MAGIC) :].rstrip(b"\n").partition(b"\n")
    if not head.startswith(MAGIC) or check != xxhash.xxh3_64_hexdigest(rest).encode():
        raise ValueError("it has no header")
    told = json.loads(rest)
    key = Key(**told["key"])
    shape = Shape(**told["shape"] | {"along": tuple(told["shape"]["along"])})
    if status.st_size != shape.size(key.dim):
        raise ValueError("it is cut")
    return key, shape, told["sums"]


def _read(
    descriptor: int, where: tuple[int, tuple[int, ...], str], spare: int, expected: str
) -> NDArray[Any]:
    """The section, with some room behind it. Raises ValueError where the checksum is another."""
    start, form, kind = where
    room = np.empty((form[0] + spare, *form[1:]), kind)
    array = room[: form[0]]
    data, summed = array.data.cast("B") if array.size else memoryview(b""), xxhash.xxh3_64()
    while data:
        count = os.preadv(descriptor, [data[:SLICE]], start)
        if not count:
            raise ValueError("the file is cut")
        summed.update(data[:count])
        data, start = data[count:], start + count
    if summed.hexdigest() != expected:
        raise ValueError("the file is not what was written")
    return room


def _prefix(shape: Shape, arrays: dict[str, NDArray[Any]]) -> Prefix | None:
    if not shape.along[1]:
        return None
    directions = Directions(arrays["mean"], arrays["axes"], shape.step, shape.trained)
    return Prefix(directions, (), 0).extended(arrays["along"])
