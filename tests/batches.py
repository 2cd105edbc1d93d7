"""An index that is filled in whole batches, and tells whether it holds a part of one."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

import apsw
import numpy as np
import sqlite_vec

from imgqd.records import Change, Gone, Indexed, Metadata, Notes, Stamp
from imgqd.store import Identity, Root, Store

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BATCH = 8
DIM = 8
DECODER = "decoder-1"
ROOT = Root(b"/r", Identity(1, 2, "ext4:1", "ext4"))


def opened(path: Path, *, immutable: bool = False) -> Store:
    store = Store.open(path, DECODER, immutable=immutable)
    store.use_model("one", "one", DIM)
    if not immutable:
        store.add_root(ROOT.path, ROOT.identity)
    return store


def opened_anew(path: Path) -> Store:
    """Where `opened` finds a damaged one."""
    store, _ = Store.open_anew(path, DECODER)
    store.use_model("one", "one", DIM)
    return store


def filled(path: Path, batches: int) -> Store:
    store = opened(path)
    for number in range(batches):
        store.commit(batch(number), float(number))
    return store


def hash_of(n: int) -> bytes:
    return n.to_bytes(16, "big")


@cache
def vector(n: int, dim: int = DIM) -> NDArray[np.float32]:
    raw = np.random.default_rng(n).standard_normal(dim).astype(np.float32)
    return raw / np.linalg.norm(raw)


def indexed(n: int, path: bytes | None = None) -> Indexed:
    photo, stamp = Metadata("PNG", 1, 1, Notes(camera="Leica")), Stamp(n, n, n, n, 1)
    return Indexed(path or b"/r/%d" % n, stamp, hash_of(n), True, photo, vector(n))


def batch(number: int) -> list[Change]:
    """One picture less, and BATCH new ones: what a commit must do whole or not at all."""
    first = number * BATCH
    return [Gone(b"/r/%d" % (first - 1)), *map(indexed, range(first, first + BATCH))]


def batches_in(store: Store) -> int:
    """How many batches the store holds; fails where one is there in part, or a vector is wrong."""
    names = sorted(int(name) for name in store.rows(b"/r"))
    whole = (max(names, default=-1) + 1) // BATCH
    gone = {number * BATCH - 1 for number in range(1, whole)}
    assert names == sorted(set(range(whole * BATCH)) - gone)
    found = [id for block in store.resident() for id in block.ids.tolist()]
    assert len(found) == len(set(found)) == len(names)
    assert not any(block.damaged for block in store.resident())
    assert store.counts().files == len(names)
    assert pictures_in(store, whole * BATCH) == set(range(whole * BATCH))
    return whole


def pictures_in(store: Store, most: int) -> set[int]:
    """Which of the first pictures have an embedding; fails where it is not their own."""
    known = {n: id for n in range(most) if (id := store.known(hash_of(n))) is not None}
    found = store.vectors(known.values())
    assert {n for n, id in known.items() if found[id].tobytes() != vector(n).tobytes()} == set()
    return set(known)


def environment() -> dict[str, str]:
    """What a file of tests needs to run as a program."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def shell(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """What anyone's SQL shell does to the file; the last answer."""
    connection = apsw.Connection(os.fspath(path))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    answer: list[tuple[object, ...]] = []
    for statement in statements:
        answer = connection.execute(statement).fetchall()
    connection.close()
    return answer
