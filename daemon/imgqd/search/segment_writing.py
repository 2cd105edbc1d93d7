"""Writes the cache's file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgqd.search.segment import HEADER, MAGIC, SLICE, Key, Records, Shape
from imgqd.store.vectors.sums import HASH, checksums

if TYPE_CHECKING:
    from pathlib import Path

    from imgqd.search.resident import Snapshot


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
    return Records(descriptor, shape.start(key.dim), key.dim, sums)


def unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def shape_of(snapshot: Snapshot) -> Shape:
    known = snapshot.prefix
    if known is None:
        return Shape(len(snapshot.ids), (0, 0), 0.0, 0)
    directions = known.directions
    along = known.count, directions.axes.shape[1]
    return Shape(len(snapshot.ids), along, directions.step, directions.trained)


def _write_all(
    descriptor: int, key: Key, shape: Shape, snapshot: Snapshot, known: NDArray[np.void]
) -> NDArray[np.int64]:
    layout = shape.layout(key.dim)
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
        _write(descriptor, shape.start(dim) + first * data.shape[1], data)
        if snapshot.prefix is not None and first < count:
            some = vectors[: count - first]
            along[first : first + len(some)] = snapshot.prefix.directions.along(some)
        first += len(vectors)
    return along


def _write(descriptor: int, start: int, array: NDArray[Any]) -> str:
    """The checksum of what was written."""
    data, summed = array.data.cast("B") if array.size else memoryview(b""), xxhash.xxh3_64()
    while data:
        count = os.pwrite(descriptor, data[:SLICE], start)
        summed.update(data[:count])
        data, start = data[count:], start + count
    return str(summed.hexdigest())
