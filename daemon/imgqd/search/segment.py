"""The cache's file: all that a search needs of the vectors, as it lies in memory, and the vectors.

A header tells what follows and its checksums; a file of which anything is not as told is none. The
vectors come last, each behind its picture's hash, so that the checksum that the store keeps of the two is
that of the bytes here: they are read one by one when they decide, and checked each time.
"""

from __future__ import annotations

import json
import math
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgqd.search.codes import Codes
from imgqd.search.prefix import Directions, Prefix
from imgqd.store.sums import HASH, checksums, sum_of

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.search.resident import Snapshot
    from imgqd.search.rows import Ids, Rows
    from imgqd.search.vectors import Vectors

MAGIC = b"imgq-vectors-1\n"
HEADER = 8192
_AT_ONCE = 4096
_SLICE = 1 << 24
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


def size(shape: Shape, dim: int) -> int:
    """Bytes of the whole file."""
    return _start(shape, dim) + shape.rows * (HASH + 4 * dim)


def shape_of(snapshot: Snapshot) -> Shape:
    known = snapshot.prefix
    if known is None:
        return Shape(len(snapshot.ids), (0, 0), 0.0, 0)
    directions = known.directions
    along = known.count, directions.axes.shape[1]
    return Shape(len(snapshot.ids), along, directions.step, directions.trained)


def opened(path: Path) -> Segment | None:
    """What lies there; None where that is nothing, or not whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        key, shape, expected = _header(descriptor)
        arrays = {}
        for name, where in _layout(shape, key.dim).items():
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
        Records(descriptor, _start(shape, key.dim), key.dim, arrays["sums"]),
    )


def write(path: Path, key: Key, snapshot: Snapshot, known: NDArray[np.void]) -> Records:
    """Writes the file beside, and puts it there whole.

    known: what the store tells of these vectors, `sums.SUM`, by ascending picture. A row that is dead,
    or not as the store tells it, is written as one that is dead. Raises OSError.
    """
    shape = shape_of(snapshot)
    beside = unfinished(path)
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        sums = _write_all(descriptor, key, shape, snapshot, known)
        os.rename(beside, path)
    except BaseException:
        os.close(descriptor)
        beside.unlink(missing_ok=True)
        raise
    return Records(descriptor, _start(shape, key.dim), key.dim, sums)


def unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _write_all(
    descriptor: int, key: Key, shape: Shape, snapshot: Snapshot, known: NDArray[np.void]
) -> NDArray[np.int64]:
    layout = _layout(shape, key.dim)
    hashes, sums = _told(snapshot, known)
    along = _write_records(descriptor, shape, snapshot, hashes, sums)
    arrays: dict[str, NDArray[Any]] = {
        "ids": snapshot.ids,
        "sums": sums,
        "steps": snapshot.codes.steps,
        "codes": snapshot.codes.values,
        "along": along,
        "mean": np.empty(0, np.float32),
        "axes": np.empty((0, 0), np.float32),
    }
    if snapshot.prefix is not None:
        arrays["mean"] = snapshot.prefix.directions.mean
        arrays["axes"] = snapshot.prefix.directions.axes
    checks = {}
    for name, (start, _, kind) in layout.items():
        checks[name] = _write(descriptor, start, np.ascontiguousarray(arrays[name], kind))
    head = json.dumps({"key": asdict(key), "shape": asdict(shape), "sums": checks}).encode()
    head = f"{xxhash.xxh3_64_hexdigest(head)}\n".encode() + head
    if len(MAGIC) + len(head) > HEADER:
        raise ValueError("the header does not fit")
    os.pwrite(descriptor, (MAGIC + head).ljust(HEADER, b"\n"), 0)
    return sums


def _told(
    snapshot: Snapshot, known: NDArray[np.void]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """The hash and the checksum of each row's picture, as the store tells them; 0 for the dead."""
    hashes = np.zeros(len(snapshot.ids), f"V{HASH}")
    sums = np.zeros(len(snapshot.ids), np.int64)
    at = np.searchsorted(known["picture"], snapshot.ids)
    rows = np.flatnonzero(snapshot.alive & (at < len(known)))
    rows = rows[known["picture"][at[rows]] == snapshot.ids[rows]]
    hashes[rows], sums[rows] = known["hash"][at[rows]], known["checksum"][at[rows]]
    return hashes, sums


def _write_records(
    descriptor: int,
    shape: Shape,
    snapshot: Snapshot,
    hashes: NDArray[np.void],
    sums: NDArray[np.int64],
) -> NDArray[np.int8]:
    """Writes the vectors, and takes back the sums of those that are not as told; what the prefix's
    directions tell of the first of them."""
    count, axes = shape.along
    along = np.empty((count, axes), np.int8)
    dim = snapshot.codes.values.shape[1]
    first = 0
    for vectors in snapshot.vectors.blocks():
        rows = slice(first, first + len(vectors))
        sums[rows][checksums(hashes[rows], vectors) != sums[rows]] = 0
        data = np.empty((len(vectors), HASH + 4 * dim), np.uint8)
        data[:, :HASH] = hashes[rows].view(np.uint8).reshape(-1, HASH)
        data[:, HASH:] = vectors.astype("<f4").view(np.uint8)
        _write(descriptor, _start(shape, dim) + first * data.shape[1], data)
        if snapshot.prefix is not None and first < count:
            some = vectors[: count - first]
            along[first : first + len(some)] = snapshot.prefix.directions.along(some)
        first += len(vectors)
    return along


def _write(descriptor: int, start: int, array: NDArray[Any]) -> str:
    """The checksum of what was written."""
    data, summed = array.data.cast("B") if array.size else memoryview(b""), xxhash.xxh3_64()
    while data:
        count = os.pwrite(descriptor, data[:_SLICE], start)
        summed.update(data[:count])
        data, start = data[count:], start + count
    return str(summed.hexdigest())


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
    if status.st_size != size(shape, key.dim):
        raise ValueError("it is cut")
    return key, shape, told["sums"]


def _layout(shape: Shape, dim: int) -> dict[str, tuple[int, tuple[int, ...], str]]:
    """Where each section starts, its shape and its type."""
    layout, start = {}, HEADER
    for name, (form, kind) in shape.sections(dim).items():
        layout[name] = start, form, kind
        start += math.prod(form) * np.dtype(kind).itemsize
    return layout


def _start(shape: Shape, dim: int) -> int:
    """Where the vectors begin."""
    sections = shape.sections(dim).values()
    return HEADER + sum(math.prod(form) * np.dtype(kind).itemsize for form, kind in sections)


def _read(
    descriptor: int, where: tuple[int, tuple[int, ...], str], spare: int, expected: str
) -> NDArray[Any]:
    """The section, with some room behind it. Raises ValueError where the checksum is another."""
    start, form, kind = where
    room = np.empty((form[0] + spare, *form[1:]), kind)
    array = room[: form[0]]
    data, summed = array.data.cast("B") if array.size else memoryview(b""), xxhash.xxh3_64()
    while data:
        count = os.preadv(descriptor, [data[:_SLICE]], start)
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
