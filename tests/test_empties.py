"""Files that hold nothing: counted wherever they are, and nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgqd.library.empties import Empties
from world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    for name in ("a", "in/b", "in/c", "in/deep/d", "other/e"):
        (world.root / name).parent.mkdir(parents=True, exist_ok=True)
        (world.root / name).touch()
    world.start()
    yield world
    world.stop()


def total(world: World) -> int:
    world.settle()
    return world.library.empties.total


def test_they_are_counted_and_neither_read_nor_kept(world: World) -> None:
    assert total(world) == 5
    assert world.read == []
    assert world.index.counts().ignored == 0


def test_one_that_goes_or_comes_to_hold_something_counts_no_more(world: World) -> None:
    (world.root / "a").unlink()
    world.put("in/b")
    assert total(world) == 3
    assert world.known() == {world.root / "in" / "b": b"in/b"}
    (world.root / "in" / "b").write_bytes(b"")
    assert total(world) == 3, "it has a row"
    (world.root / "more").touch()
    assert total(world) == 4


def test_a_folder_takes_its_own_along(world: World) -> None:
    (world.root / "in").rename(world.root / "out")
    assert total(world) == 5
    shutil.rmtree(world.root / "out" / "deep")
    assert total(world) == 4
    shutil.rmtree(world.root / "out")
    (world.root / "other").rename(world.root.parent / "other")
    assert total(world) == 1


def test_a_root_that_is_removed_takes_its_own_along(world: World) -> None:
    world.add(world.root / "in")
    assert total(world) == 5
    world.remove(world.root / "in")
    assert total(world) == 5
    world.remove(world.root)
    assert total(world) == 0


def test_a_root_that_is_away_takes_its_own_along_until_it_is_back(world: World) -> None:
    """As after a restart: nothing is kept of them."""
    away = world.root.rename(world.root.with_name("away"))
    assert total(world) == 0
    assert world.roots.offline() == [os.fsencode(world.root)]
    away.rename(world.root)
    assert total(world) == 5


def test_a_picture_that_holds_nothing_is_read(world: World) -> None:
    place = world.root / "red.JPG"
    place.touch()
    os.utime(place, (0, 0))
    assert total(world) == 5
    assert [name for name, _ in world.read] == ["red.JPG"]


def test_what_is_gone_below_a_folder_is_seen_by_a_look_at_it() -> None:
    empties = Empties()
    for path in (b"/r", b"/r/a", b"/r/a/b", b"/r/c/d", b"/s"):
        empties.look(path, 10, [b"a", b"b", b"c", b"d"])
    assert empties.total == 50
    empties.look(b"/r", 7, [b"a"])
    assert empties.total == 37
    empties.forget(b"/r")
    assert empties.total == 10
