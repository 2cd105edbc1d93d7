"""The numbers of pictures that arrive: which files get one, and that none is given twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgqd.records import Change, Failed, Failure, Gone, Indexed, Metadata, Moved, Stamp
from imgqd.store import Identity, Store
from imgqd.store.commits.arrivals import ON_ITS_WAY_NS

PHOTO = Metadata("JPEG", 40, 30)
DIM = 8
NOW = 100
NOW_NS = NOW * 10**9


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
    return store.commit(changes, NOW).arrived


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
    assert commit(again, shows(b"/r/b.jpg", 3)) == 3
    again.close()


def test_what_was_elsewhere_has_the_number_it_had_there(store: Store, tmp_path: Path) -> None:
    commit(store, shows(b"/r/a.jpg", 1), shows(b"/r/other.jpg", 2))
    commit(store, Gone(b"/r/a.jpg"))
    store.close()
    again = opened(tmp_path)
    renamed = Stamp(1, 1, NOW_NS, 1, 1)
    assert commit(again, replace(shows(b"/r/b.jpg", 1), stamp=renamed)) is None
    assert told(again) == [(1, b"/r/b.jpg"), (2, b"/r/other.jpg")]
    # It was there once, and so is in one other place.
    assert commit(again, replace(shows(b"/r/c.jpg", 1), stamp=renamed)) == 3
    again.close()


@pytest.mark.parametrize(
    ("stamp", "is_it"),
    [
        (Stamp(5, 5, 5, 5, 1), True),
        (Stamp(5, 4, NOW_NS, 5, 1), True),
        (Stamp(5, 5, NOW_NS + ON_ITS_WAY_NS, 5, 1), True),
        (Stamp(5, 5, NOW_NS, 6, 2), True),
        # Written since, as another file with the same inode may be; or brought when it was gone already.
        (Stamp(5, 6, 6, 5, 1), False),
        (Stamp(5, 5, NOW_NS + ON_ITS_WAY_NS + 1, 5, 1), False),
        (Stamp(5, 5, NOW_NS + 1, 6, 2), False),
        # A copy on the same file system, and what has another time on another one.
        (Stamp(5, 5, 5, 6, 1), False),
        (Stamp(5, 6, 6, 6, 2), False),
    ],
)
def test_it_is_the_file_that_went_by_its_stamp(store: Store, stamp: Stamp, is_it: bool) -> None:
    commit(store, shows(b"/r/a.jpg", 5))
    commit(store, Gone(b"/r/a.jpg"))
    assert (commit(store, replace(shows(b"/r/b.jpg", 5), stamp=stamp)) is None) == is_it


def test_a_time_that_a_file_system_keeps_to_two_seconds_is_the_same(store: Store) -> None:
    at = 3_999_999_999
    for n, mtime_ns, number in ((1, 2_000_000_000, None), (2, 1_999_999_999, 3)):
        path = b"/r/%d.jpg" % n
        commit(store, replace(shows(path, n), stamp=Stamp(n, at, at, n, 1)))
        commit(store, Gone(path))
        copied = replace(shows(b"/r/far/%d.jpg" % n, n), stamp=Stamp(n, mtime_ns, at, 9, 2))
        assert commit(store, copied) == number


def test_files_that_change_places_one_after_the_other_do_not_arrive(store: Store) -> None:
    commit(store, shows(b"/r/a.jpg", 1), shows(b"/r/b.jpg", 2))
    a, b = shows(b"/r/a.jpg", 1), shows(b"/r/b.jpg", 2)
    assert commit(store, Gone(b.path), replace(b, path=a.path), replace(a, path=b.path)) is None


def test_a_folder_that_is_watched_again_arrives(store: Store) -> None:
    commit(store, shows(b"/r/a.jpg", 1))
    store.remove_root(b"/r", NOW)
    store.add_root(b"/r", Identity(device=1, inode=2, fsid="ext4:1"))
    assert commit(store, shows(b"/r/a.jpg", 1)) == 2


def test_what_went_long_ago_is_forgotten(store: Store) -> None:
    commit(store, shows(b"/r/a.jpg", 1), shows(b"/r/copy.jpg", 1))
    commit(store, Gone(b"/r/a.jpg"))
    store.forget_orphans(NOW + 1)
    assert commit(store, shows(b"/r/b.jpg", 1)) == 3


def test_a_page_ends_where_it_is_told_to(store: Store) -> None:
    commit(store, *(shows(b"/r/%d.jpg" % n, n) for n in range(1, 8)))
    assert [each.seq for each in store.arrivals(2, 6, limit=3)] == [3, 4, 5]
    assert [each.seq for each in store.arrivals(5, 6)] == [6]
