"""The numbers of pictures that arrive: which files get one, and that none is given twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgqd.records import Change, Failed, Failure, Gone, Indexed, Metadata, Moved, Stamp
from imgqd.store import Identity, Store

PHOTO = Metadata("JPEG", 40, 30)
DIM = 8


def opened(folder: Path) -> Store:
    store = Store.open(folder / "index.db", "decoder-1")
    store.use_model("one", "one", DIM)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path)
    store.add_root(b"/r", Identity(device=1, inode=2, fsid="ext4:1"))
    yield store
    store.close()


def stamp(n: int) -> Stamp:
    return Stamp(n, n, n, n, 1)


def shows(path: bytes, n: int) -> Indexed:
    return Indexed(path, stamp(n), n.to_bytes(16, "big"), True, PHOTO, vector(n))


def vector(n: int) -> np.ndarray:
    raw = np.random.default_rng(n).standard_normal(DIM).astype(np.float32)
    unit: np.ndarray = raw / np.linalg.norm(raw)
    return unit


def commit(store: Store, *changes: Change) -> int | None:
    return store.commit(changes, 100.0).arrived


def told(store: Store, after: int = 0) -> list[tuple[int, bytes]]:
    found = store.arrivals(after, store.last_arrival())
    return [(each.seq, each.shown.path) for each in found]


def test_each_file_that_shows_something_new_has_the_next_number(store: Store) -> None:
    assert store.last_arrival() == 0
    assert commit(store, shows(b"/r/a.jpg", 1), shows(b"/r/b.jpg", 2)) == 2
    assert commit(store, shows(b"/r/copy.jpg", 1)) == 3
    assert commit(store, shows(b"/r/a.jpg", 4)) == 4
    assert told(store) == [(2, b"/r/b.jpg"), (3, b"/r/copy.jpg"), (4, b"/r/a.jpg")]
    assert told(store, 3) == [(4, b"/r/a.jpg")]


def test_what_shows_the_same_does_not_arrive(store: Store) -> None:
    commit(store, shows(b"/r/a.jpg", 1))
    touched = replace(shows(b"/r/a.jpg", 1), stamp=stamp(9))
    assert commit(store, touched) is None
    assert commit(store, Moved(b"/r/a.jpg", b"/r/sub/b.jpg", stamp(9))) is None
    assert told(store) == [(1, b"/r/sub/b.jpg")]
    failed = Failed(b"/r/c.jpg", stamp(3), Failure("damaged", "it is"))
    assert commit(store, failed) is None
    assert commit(store, shows(b"/r/c.jpg", 3)) == 2


def test_no_number_is_given_twice(store: Store, tmp_path: Path) -> None:
    commit(store, shows(b"/r/a.jpg", 1), shows(b"/r/b.jpg", 2))
    commit(store, Gone(b"/r/b.jpg"))
    assert told(store) == [(1, b"/r/a.jpg")]
    store.close()
    again = opened(tmp_path)
    assert again.last_arrival() == 2
    assert commit(again, shows(b"/r/b.jpg", 2)) == 3
    again.close()


def test_a_page_ends_where_it_is_told_to(store: Store) -> None:
    commit(store, *(shows(b"/r/%d.jpg" % n, n) for n in range(1, 8)))
    assert [each.seq for each in store.arrivals(2, 6, limit=3)] == [3, 4, 5]
    assert [each.seq for each in store.arrivals(5, 6)] == [6]
