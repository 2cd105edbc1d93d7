"""The index held against the disk, and what is only under way told from what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import until
from imgqd.embedder.jobs import Urgency
from imgqd.library import audit
from imgqd.library.audit import Audit, Difference
from imgqd.library.compare import Seen
from imgqd.library.dirty import Dirty
from imgqd.reconcile.backlog import Backlog
from imgqd.records import Gone, GoneFolder, Stamp
from world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A settled index of five files in three folders, which nobody keeps right any more."""
    world = World(tmp_path)
    for name in ("a.jpg", "b.jpg", "one/c.jpg", "one/deep/d.jpg", "two/e.jpg"):
        world.put(name)
    world.start().reconciler.stop()
    yield world
    world.index.store.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was done until now was done long ago."""
    monkeypatch.setattr(audit, "YOUNG_NS", -(10**9))


def told(world: World, *differences: Difference) -> list[tuple[str, str]]:
    root = os.fsencode(world.root)
    return sorted(
        (each.code, os.fsdecode(os.path.relpath(each.path, root))) for each in differences
    )


def found(world: World, *tops: str) -> list[tuple[str, str]]:
    """The differences, which are all there at a second look."""
    seeing = Audit(world.library, world.index.store)
    first = list(seeing.differences([os.fsencode(world.root / top) for top in tops]))
    assert told(world, *seeing.again(first)) == told(world, *first)
    return told(world, *first)


def path(world: World, name: str) -> bytes:
    return os.fsencode(world.root / name)


@pytest.mark.usefixtures("later")
def test_each_sort_of_difference(world: World) -> None:
    assert found(world) == []
    (world.root / "a.jpg").unlink()
    (world.root / "b.jpg").write_text("another")
    world.index.commit([Gone(path(world, "one/c.jpg"))])
    world.index.store.reindex([path(world, "two/e.jpg")])
    assert found(world) == [
        ("changed", "b.jpg"),
        ("forgotten", "two/e.jpg"),
        ("gone", "a.jpg"),
        ("missing", "one/c.jpg"),
    ]


@pytest.mark.usefixtures("later")
def test_a_folder_is_one_difference_with_all_that_is_below_it(world: World) -> None:
    (world.root / "one").rename(world.root.parent / "elsewhere")
    seeing = Audit(world.library, world.index.store)
    (gone,) = seeing.differences()
    assert (gone.code, gone.path, gone.files) == ("gone", path(world, "one"), 2)
    assert (seeing.looked.files, seeing.looked.folders) == (3, 2)
    world.index.commit([GoneFolder(path(world, "two"))])
    assert found(world) == [("gone", "one"), ("missing", "two/e.jpg")]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    ("top", "differences"),
    [
        ("one", [("missing", "one/c.jpg"), ("missing", "one/deep/d.jpg")]),
        ("one/deep", [("missing", "one/deep/d.jpg")]),
        ("two", []),
        ("..", [("missing", "one/c.jpg"), ("missing", "one/deep/d.jpg")]),
        # What is not there is looked for where it would be.
        ("two/gone", []),
    ],
)
def test_what_lies_under_a_folder(
    world: World, top: str, differences: list[tuple[str, str]]
) -> None:
    world.index.commit([GoneFolder(path(world, "one"))])
    assert found(world, os.path.normpath(world.root / top)) == differences


@pytest.mark.usefixtures("later")
def test_roots_that_are_away_and_folders_that_may_not_be_read_are_skipped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: bytes, *_: object) -> object:
        raise PermissionError(13, "Permission denied", folder)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "look", refuse)
        seeing = Audit(world.library, world.index.store)
        assert list(seeing.differences()) == []
        assert seeing.looked.skipped == [os.fsencode(world.root)]
    world.index.store.set_root(os.fsencode(world.root), state="offline")
    world.roots.read()
    seeing = Audit(world.library, world.index.store)
    assert list(seeing.differences()) == []
    assert (seeing.looked.skipped, seeing.looked.files) == ([os.fsencode(world.root)], 0)


def test_a_file_that_was_just_written_is_no_difference(world: World) -> None:
    (world.root / "new.jpg").write_text("new")
    (world.root / "a.jpg").write_text("another")
    assert found(world) == []


def mend(world: World) -> None:
    world.index.commit([Gone(path(world, "one/deep/d.jpg"))])


def move(world: World) -> None:
    (world.root / "one" / "deep").rename(world.root / "one" / "again")
    (world.root / "one" / "again").rename(world.root / "one" / "deep")


def move_above(world: World) -> None:
    (world.root / "one").rename(world.root / "again")
    (world.root / "again").rename(world.root / "one")


def add(world: World) -> None:
    (world.root / "one" / "deep" / "new.jpg").write_text("new")


@pytest.mark.parametrize("stir", [mend, move, move_above, add], ids=lambda stir: stir.__name__)
def test_what_is_mended_or_stirs_between_two_looks_is_no_difference(
    world: World, stir: Callable[[World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.root / "one" / "deep" / "d.jpg").unlink()
    monkeypatch.setattr(audit, "YOUNG_NS", 0)
    until(lambda: tick(world) > (world.root / "one" / "deep").stat().st_ctime_ns, "a tick")
    seeing = Audit(world.library, world.index.store)
    first = list(seeing.differences())
    assert told(world, *first) == [("gone", "one/deep/d.jpg")]
    assert list(seeing.again(first)) == first
    until(lambda: tick(world) > seeing._began, "another tick of the disk's clock")
    stir(world)
    assert list(seeing.again(first)) == []


def tick(world: World) -> int:
    """The clock by which the disk dates its files, which ticks every few milliseconds."""
    probe = world.root.parent / "probe"
    probe.touch()
    return probe.stat().st_mtime_ns


def test_hints_cover_the_folders_that_they_lead_to() -> None:
    dirty = Dirty()
    assert not dirty.covers(b"/r/one")
    dirty.mark(b"/r/one")
    assert dirty.covers(b"/r/one")
    assert not dirty.covers(b"/r/one/deep")
    dirty.mark_deep(b"/r/two")
    assert dirty.covers(b"/r/two/deep")
    dirty.hurry()
    assert dirty.take(1.0)
    assert dirty.covers(b"/r/one")
    assert dirty.covers(b"/r/two/deep")
    dirty.done()
    assert not dirty.covers(b"/r/one")
    dirty.mark_later(b"/r/three", 60.0)
    assert dirty.covers(b"/r/three")
    dirty.mark_everything()
    assert dirty.covers(b"/r/four")


def test_the_backlog_awaits_what_is_under_way_put_off_or_being_written() -> None:
    backlog = Backlog(most=1)
    stamp = Stamp(1, 2, 3, 4, 5)
    seen = [Seen(b"/r/one/a.jpg", stamp, None), Seen(b"/r/two/b.jpg", stamp, None)]
    assert len(backlog.begin(seen, Urgency.FRESH)) == 1
    backlog.unready(b"/r/three", [None])
    awaited = (b"/r/one/a.jpg", b"/r/two/b.jpg", b"/r/two/c.jpg", b"/r/three/d.jpg")
    assert all(map(backlog.awaits, awaited))
    assert not backlog.awaits(b"/r/one/z.jpg")
    assert not backlog.awaits(b"/r/four/a.jpg")
