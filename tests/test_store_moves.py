"""Moves, held against a dictionary; a renamed folder is one row."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batches import filled, hash_of, indexed, opened, shell
from imgqd.records import Failed, Failure, Gone, GoneFolder, Ignored, Moved, Stamp
from imgqd.store import Committed, Identity, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 40
FOLDERS = [b"/r/a", b"/r/a/b", b"/r/ab", b"/r/c", b"/r/c/d/e", b"/r/inner", b"/r/inner/f", b"/r"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = opened(path)
    store.add_root(b"/r/inner", Identity(7, 7, "x"))
    yield store
    store.close()


def stamp(n: int) -> Stamp:
    return Stamp(n, n, n, n, 1)


def shown(store: Store) -> dict[bytes, bytes]:
    return {file.path: file.picture.hash for file in store.files(0, 10_000)}


def renamed(store: Store, folder: bytes, target: bytes, names: list[bytes]) -> Committed:
    moves = [
        Moved(folder + name, target + name, stamp(int(name.split(b"/")[-1]))) for name in names
    ]
    return store.commit(moves, 1.0)


@pytest.mark.parametrize("seed", range(30))
def test_moves_are_those_of_a_dictionary(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    truth = {b"%s/%d" % (chance.choice(FOLDERS), n): n for n in range(COUNT)}
    store.commit([indexed(n, path) for path, n in truth.items()], 1.0)
    for _ in range(8):
        moves: dict[bytes, bytes] = {}
        for _ in range(chance.randint(1, 4)):
            source, target = (
                chance.choice(FOLDERS),
                chance.choice([*FOLDERS, b"/r/new", b"/r/new/x"]),
            )
            most = chance.choice([1.0, 1.0, 0.8, 0.2])
            for path in truth:
                folder, _, name = path.rpartition(b"/")
                if folder == source and path not in moves and chance.random() < most:
                    new = name if chance.random() < 0.98 else b"other"
                    moves[path] = b"%s/%s" % (target, new)
        taken: dict[bytes, bytes] = {new: old for old, new in moves.items()}
        changes = [Moved(old, new, stamp(truth[old])) for new, old in taken.items()]
        chance.shuffle(changes)
        committed = store.commit(changes, 2.0)
        left = {path: n for path, n in truth.items() if path not in taken.values()}
        # who arrives takes the place of whoever stayed
        truth = left | {new: truth[old] for new, old in taken.items()}
        assert committed.again == []
        assert shown(store) == {path: hash_of(n) for path, n in truth.items()}
        assert store.check() == []


def test_fault_13_renamed_folder_is_one_row_and_keeps_everything(store: Store, path: Path) -> None:
    names = [b"/%d" % n for n in range(20)] + [b"/sub/%d" % n for n in range(20, 40)]
    store.commit([indexed(n, b"/r/old" + name) for n, name in enumerate(names)], 1.0)
    store.commit(
        [
            Ignored(b"/r/old/98", stamp(98)),
            Failed(b"/r/old/99", stamp(99), Failure("damaged", "broken")),
        ],
        1.0,
    )
    [(before,)] = shell(path, "SELECT json_group_array(id) FROM files ORDER BY id")
    all_names = [*names, b"/98", b"/99"]
    assert renamed(store, b"/r/old", b"/r/inner/new", all_names) == Committed()
    assert shown(store) == {b"/r/inner/new" + name: hash_of(n) for n, name in enumerate(names)}
    assert [error.path for error in store.errors()] == [b"/r/inner/new/99"]
    assert store.folders_under(b"/r") == [b"/r/inner/new", b"/r/inner/new/sub"]
    assert store.root_counts()[b"/r/inner"].files == 40
    assert shell(path, "SELECT json_group_array(id) FROM files ORDER BY id") == [(before,)]
    assert store.check() == []
    assert store.commit([GoneFolder(b"/r/old")], 2.0) == Committed()


def test_folder_is_renamed_by_one_row(store: Store, path: Path) -> None:
    store.commit([indexed(n, b"/r/old/%d" % n) for n in range(COUNT)], 1.0)
    [(before,)] = shell(path, "SELECT id FROM folders")
    renamed(store, b"/r/old", b"/r/new", [b"/%d" % n for n in range(COUNT)])
    assert shell(path, "SELECT id FROM folders") == [(before,)]


def test_what_stays_behind_a_renamed_folder_is_where_it_was(store: Store) -> None:
    store.commit([indexed(n, b"/r/old/%d" % n) for n in range(COUNT)], 1.0)
    names = [b"/%d" % n for n in range(COUNT - 5)]
    assert renamed(store, b"/r/old", b"/r/new", names) == Committed()
    assert len(store.rows(b"/r/old")) == 5
    assert len(store.rows(b"/r/new")) == COUNT - 5
    gone = store.commit([GoneFolder(b"/r/old")], 2.0)
    assert len(gone.hidden) == 5
    assert store.check() == []


def test_device_of_moved_files_is_the_one_that_was_seen(store: Store) -> None:
    store.commit([indexed(n, b"/r/old/%d" % n) for n in range(5)], 1.0)
    seen = [replace(stamp(n), device=n % 2) for n in range(5)]
    new = [Moved(b"/r/old/%d" % n, b"/r/new/%d" % n, seen[n]) for n in range(5)]
    store.commit(new, 1.0)
    assert [row.stamp for _, row in sorted(store.rows(b"/r/new").items())] == seen


def test_folder_that_another_has_taken_the_place_of_is_not_renamed(store: Store) -> None:
    """Between the look and the commit, the other's file was recorded."""
    store.commit([indexed(n, b"/r/old/%d" % n) for n in range(5)], 1.0)
    store.commit([indexed(9, b"/r/old/3")], 1.0)
    committed = renamed(store, b"/r/old/", b"/r/new/", [b"%d" % n for n in range(5)])
    assert committed.again == [b"/r/new/3"]
    assert store.rows(b"/r/new").keys() == {b"0", b"1", b"2", b"4"}
    assert store.rows(b"/r/old").keys() == {b"3"}


def test_moves_out_of_a_folder_that_is_no_more_are_to_be_read_again(store: Store) -> None:
    store.commit([indexed(1, b"/r/old/1")], 1.0)
    moves = [Moved(b"/r/old/%d" % n, b"/r/new/%d" % n, stamp(n)) for n in (1, 2)]
    assert store.commit(moves, 1.0).again == [b"/r/new/2"]
    assert shown(store) == {b"/r/new/1": hash_of(1)}
    assert store.commit([*moves, Gone(b"/r/new/1")], 1.0).again == [b"/r/new/1", b"/r/new/2"]
    assert store.check() == []


def test_renamed_folder_out_of_every_root_is_forgotten(path: Path) -> None:
    store = filled(path, 2)
    names = [b"/%d" % n for n in range(16) if n != 7]
    assert len(renamed(store, b"/r", b"/elsewhere", names).hidden) == 15
    assert shown(store) == {}
    assert store.check() == []
    store.close()
