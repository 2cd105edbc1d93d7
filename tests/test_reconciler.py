"""The index follows the disk: a real store, real folders, real events; the test itself reads the files."""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import until
from imgq.errors import StoreError
from imgqd.embedder.jobs import Urgency
from imgqd.library import compare, lookout, reach, walk
from imgqd.library.dirty import Dirty
from imgqd.library.lookout import Lookout
from imgqd.library.walk import Pass
from imgqd.reconcile import reconciler as module
from imgqd.store.database import database
from world import LONG_AGO, PATIENCE_S, World


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.1)
    made: list[World] = []

    def new(**options: Any) -> World:
        made.append(World(tmp_path, **options))
        return made[-1]

    yield new
    for world in made:
        world.stop()


@pytest.fixture
def world(new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """One that does not wait long for a file to be still."""
    monkeypatch.setattr(compare, "STILL_S", 0.3)
    return new_world().start()


@pytest.fixture
def patient(new_world: Callable[..., World]) -> World:
    """One that waits as long as the real one."""
    return new_world().start()


def test_what_was_there_before_is_found_and_what_comes_is_noticed(
    new_world: Callable[..., World],
) -> None:
    world = new_world()
    world.put("a.jpg")
    world.put("deep/er/b.jpg")
    assert not world.reconciler.has_scanned
    world.start()
    scans = world.backlog.tally.rescans
    assert world.known() == world.truth()
    assert set(world.read) == {("a.jpg", Urgency.BACKLOG), ("b.jpg", Urgency.BACKLOG)}
    world.put("deep/new/c.jpg")
    until(lambda: world.known() == world.truth(), "the new file")
    assert world.read[-1] == ("c.jpg", Urgency.FRESH)
    (world.root / "a.jpg").unlink()
    until(lambda: world.known() == world.truth(), "the deletion")
    world.put("deep/er/b.jpg", "changed")
    until(lambda: world.known() == world.truth(), "the change")
    assert world.reconciler.is_settled
    assert world.backlog.tally.rescans == scans


def test_nothing_is_read_twice(world: World) -> None:
    world.put("a.jpg")
    for _ in range(3):
        world.settle()
    assert world.read == [("a.jpg", Urgency.BACKLOG)]


def test_a_renamed_folder_is_not_read_again(world: World) -> None:
    for name in ("old/a.jpg", "old/deep/b.jpg", "c.jpg"):
        world.put(name)
    world.settle()
    world.read.clear()
    (world.root / "old").rename(world.root / "new")
    until(lambda: world.known() == world.truth(), "the new name")
    assert world.read == []
    assert world.backlog.tally.reused == 2


@pytest.mark.parametrize("log", [database.MOST_LOG, 0])
def test_a_renamed_folder_of_very_many_files_is_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, log: int
) -> None:
    """Their moves are booked some at a time, amid the look, though the log of the index be long by then."""
    monkeypatch.setattr(walk, "MOST_SEEN", 4)
    for number in range(10):
        world.put(f"old/{number}.jpg")
    world.settle()
    world.read.clear()
    with monkeypatch.context() as patch:
        patch.setattr(database, "MOST_LOG", log)
        (world.root / "old").rename(world.root / "new")
        until(lambda: world.known() == world.truth(), "the new name")
    world.settle()
    assert world.read == []
    assert world.backlog.tally.reused == 10
    assert world.reconciler.trouble is None


def test_folders_that_change_places_are_not_read_again(world: World) -> None:
    for name in ("one/a.jpg", "two/a.jpg"):
        world.put(name)
    world.settle()
    world.read.clear()
    one, two, beside = (world.root / name for name in ("one", "two", "beside"))
    one.rename(beside)
    two.rename(one)
    beside.rename(two)
    world.settle()
    assert world.known() == world.truth()
    assert world.read == []


def test_of_a_root_that_was_emptied_the_last_word_may_be_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a folder of very many files is deleted, and the system loses that it went itself."""
    root, real = os.fsencode(world.root), Dirty.mark

    def mark(dirty: Dirty, folder: bytes, **noticed: Any) -> None:
        if folder == root:
            dirty.mark_everything()
        else:
            real(dirty, folder, **noticed)

    world.put("album/a.jpg")
    world.settle()
    monkeypatch.setattr(Dirty, "mark", mark)
    # All of it is gone before any of it is looked at.
    with world.dirty._changed:
        shutil.rmtree(world.root / "album")
    until(lambda: world.known() == {}, "its files to be gone")
    world.settle()
    assert world.roots.offline() == []


def test_a_folder_moved_out_is_gone_and_back_is_back(world: World, tmp_path: Path) -> None:
    world.put("out/a.jpg")
    world.settle()
    (world.root / "out").rename(tmp_path / "out")
    until(lambda: world.known() == {}, "its files to be gone")
    (tmp_path / "out" / "b.jpg").write_text("outside")
    world.settle()
    assert world.known() == {}
    (tmp_path / "out").rename(world.root / "back")
    until(lambda: world.known() == world.truth(), "its files")


def test_a_file_and_a_folder_take_each_others_names(world: World) -> None:
    world.put("x/a.jpg")
    world.put("y")
    world.settle()
    for _ in range(3):
        shutil.rmtree(world.root / "x")
        world.put("x")
        (world.root / "y").unlink()
        world.put("y/b.jpg")
        world.settle()
        assert world.known() == world.truth()
        (world.root / "x").unlink()
        world.put("x/a.jpg")
        shutil.rmtree(world.root / "y")
        world.put("y")
        until(lambda: world.known() == world.truth(), "the other way round")


def test_what_is_left_out_is_not_watched(new_world: Callable[..., World]) -> None:
    world = new_world(exclude=("drafts/", "*.tmp"))
    world.put("drafts/a.jpg")
    world.put(".hidden/a.jpg")
    world.put("a.tmp")
    seen = world.put("b.jpg")
    world.start()
    assert list(world.known()) == [seen]
    if sys.platform == "linux":
        assert list(world.lookout._watch._numbers) == [os.fsencode(world.root)]  # type: ignore[attr-defined]


def test_a_file_that_is_written_to_is_pending_until_it_is_still(patient: World) -> None:
    path = patient.root / "slow.jpg"
    with open(path, "w") as file:
        file.write("half")
        file.flush()
        until(lambda: patient.backlog.pending == 1, "the file to be noticed")
        assert not patient.reconciler.is_settled
        assert patient.read == []
        file.write(" and whole")
    until(lambda: patient.known() == patient.truth(), "the whole file")
    assert [name for name, _ in patient.read] == ["slow.jpg"]
    assert patient.backlog.pending == 0


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_half_written_file_under_a_root_that_goes_is_waited_for_no_longer(
    patient: World, how: str
) -> None:
    with open(patient.root / "slow.jpg", "w") as file:
        file.write("half")
        file.flush()
        until(lambda: patient.backlog.pending == 1, "the file to be noticed")
        if how == "removed":
            patient.remove(patient.root)
        else:
            patient.root.rename(patient.root.with_name("away"))
        patient.settle()
    assert patient.backlog.pending == 0


def test_a_file_that_changes_while_it_is_read_is_read_again(world: World) -> None:
    world.hold.add("a.jpg")
    world.put("a.jpg", "first")
    until(lambda: world.held, "the job")
    world.put("a.jpg", "second")
    until(lambda: world.backlog._under_way[world.held[0].path].again, "the change to be seen")
    assert world.reconciler.has_scanned
    assert len(world.held) == 1
    world.hold.clear()
    world.finish(world.held[0])
    world.settle()
    assert world.known() == world.truth()


def test_pending_files_are_counted_as_nothing_else(patient: World) -> None:
    for name in ("a.jpg", "b.jpg"):
        patient.put(name)
    patient.settle()
    assert patient.backlog.counted("indexed") == 0
    patient.hold |= {"a.jpg", "c.jpg"}
    patient.put("a.jpg", "changed")
    patient.put("c.jpg")
    until(lambda: len(patient.held) == 2, "both jobs")
    assert (patient.backlog.pending, patient.backlog.counted("indexed")) == (2, 1)
    with open(patient.root / "b.jpg", "w") as file:
        file.write("half")
        file.flush()
        (patient.root / "no picture").mkdir()
        until(lambda: patient.backlog.counted("indexed") == 2, "the file that is written to")
        assert patient.backlog.pending == 3
    patient.hold.clear()
    for job in patient.held:
        patient.finish(job)
    patient.settle()
    assert (patient.backlog.pending, patient.backlog.counted("indexed")) == (0, 0)


# ── roots ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_root_that_is_away_keeps_its_files_and_is_back_by_itself(
    world: World, tmp_path: Path
) -> None:
    world.put("deep/a.jpg")
    world.settle()
    world.read.clear()
    world.root.rename(tmp_path / "away")
    until(lambda: world.roots.offline(), "it to be offline")
    assert world.index.store.counts().offline == 1
    (tmp_path / "away" / "deep" / "b.jpg").write_text("written while it was away")
    (tmp_path / "away").rename(world.root)
    until(lambda: world.known() == world.truth(), "it to be back")
    assert [name for name, _ in world.read] == ["b.jpg"]
    world.put("deep/c.jpg")
    until(lambda: world.known() == world.truth(), "what is written afterwards")


def test_a_root_made_anew_is_watched_anew(world: World, tmp_path: Path) -> None:
    world.put("a.jpg")
    world.settle()
    for number in range(3):
        shutil.rmtree(world.root)
        world.put(f"deep/{number}.jpg")
        until(lambda: world.known() == world.truth(), f"the new root, round {number}")
        world.put(f"deep/again-{number}.jpg")
        until(lambda: world.known() == world.truth(), f"its events, round {number}")


def test_the_last_file_of_a_root_can_be_deleted(world: World) -> None:
    path = world.put("a.jpg")
    world.settle()
    path.unlink()
    until(lambda: world.index.store.counts().files == 0, "the deletion")
    assert world.roots.online() == [os.fsencode(world.root)]


def test_roots_inside_roots_list_a_file_once(world: World) -> None:
    inner = world.root / "inner"
    world.put("inner/deep/a.jpg")
    world.put("b.jpg")
    world.settle()
    world.read.clear()
    world.add(inner)
    world.settle()
    assert (world.known(), world.read) == (world.truth(), [])
    world.put("inner/deep/c.jpg")
    until(lambda: world.known() == world.truth(), "a file under both")
    world.remove(inner)
    world.settle()
    assert world.known() == world.truth()
    world.put("inner/deep/d.jpg")
    until(lambda: world.known() == world.truth(), "a file under what was a root")
    assert [name for name, _ in world.read] == ["c.jpg", "d.jpg"]


def test_a_root_outside_a_root_takes_over(world: World, tmp_path: Path) -> None:
    world.put("a.jpg")
    world.settle()
    world.put("../outer/b.jpg")
    disk = tmp_path / "disk"
    world.add(disk)
    world.settle()
    assert world.known() == world.truth(disk)
    world.remove(world.root)
    world.settle()
    assert world.known() == world.truth(disk)
    world.put("deep/c.jpg")
    until(lambda: world.known() == world.truth(disk), "a file under what was a root")


def test_what_is_above_a_root_stands_for_it(world: World) -> None:
    world.lookout.forget([os.fsencode(world.root)])
    world.put("a.jpg")
    world.dirty.mark_deep(os.fsencode(world.root.parent.parent))
    until(lambda: world.known() == world.truth(), "what no event told of")


# ── trouble ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_lookout_counts_is_shown(world: World) -> None:
    world.lookout._watch.overflows += 1
    until(lambda: world.backlog.tally.overflows == 1, "the overflow to be counted")


@pytest.mark.skipif(sys.platform != "linux", reason="the reader of inotify is Linux's")
def descriptors() -> int:
    """How many are open, but for files: of the index so many as threads have ever read at once."""
    count = 0
    for each in os.listdir("/dev/fd"):
        # That of the list itself is closed by now.
        with suppress(OSError):
            count += not stat.S_ISREG(os.fstat(int(each)).st_mode)
    return count


def test_a_watcher_that_dies_is_replaced_and_knows_every_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "REPLACE_S", 0.0)
    world.put("deep/0.jpg")
    world.settle()
    before = descriptors()
    for round in range(1, 4):
        world.lookout._watch._reader.stop()  # type: ignore[attr-defined]
        until(lambda round=round: world.lookout.replaced == round, "another watcher")
        world.put(f"deep/{round}.jpg")
        until(lambda: world.known() == world.truth(), "what it tells")
    # A folder that is being looked at is open.
    until(lambda: descriptors() <= before, "no more descriptors")


def test_everybody_who_waits_is_told(world: World) -> None:
    world.put("a.jpg")
    told: list[bool] = []
    waiters = [
        threading.Thread(target=lambda: told.append(world.reconciler.settle(PATIENCE_S)))
        for _ in range(12)
    ]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        waiter.join(PATIENCE_S)
    assert told == [True] * 12


def test_who_waits_not_long_enough_is_told_so(world: World) -> None:
    world.hold.add("a.jpg")
    world.put("a.jpg")
    assert not world.reconciler.settle(0.3)
    assert world.backlog.pending == 1


@pytest.mark.parametrize("error", [StoreError("the disk is full"), KeyError("a bug")])
def test_a_store_that_fails_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.05)
    failed = threading.Event()

    def failing(_: bytes) -> None:
        failed.set()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.index.store, "listed", failing)
        world.put("a.jpg")
        assert failed.wait(PATIENCE_S)
    until(lambda: world.known() == world.truth(), "the file")
    assert world.reconciler.is_alive()


def test_a_deletion_that_was_seen_is_remembered_until_it_is_booked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who makes room on a full disk empties a root while nothing of it can be written down."""
    world.put("a.jpg")
    world.settle()
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.05)

    def failing(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.index.store, "set_root", failing)
        (world.root / "a.jpg").unlink()
        until(lambda: world.reconciler.trouble)
    world.settle()
    assert world.roots.state(os.fsencode(world.root)) == "watching"
    assert world.index.counts().offline == 0


def test_a_look_that_failed_reads_on_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trouble is kept, and would keep what the frames hold that it came by."""

    def failing(_: bytes) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(module, "STORE_RETRY_S", 0.05)
    world.settle()
    with monkeypatch.context() as patched:
        patched.setattr(world.index.store, "listed", failing)
        world.put("a.jpg")
        trouble = until(lambda: world.reconciler.trouble)
        until(lambda: trouble.__traceback__ is None)
    world.settle()


def test_a_folder_that_may_not_be_read_keeps_its_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("private/a.jpg")
    world.put("b.jpg")
    world.settle()
    private, real = os.fsencode(world.root / "private"), reach.folder

    def refuse(path: bytes, **options: bool) -> AbstractContextManager[int]:
        if path == private:
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reach, "folder", refuse)
        world.settle()
        world.put("c.jpg")
        world.settle()
        assert world.known() == world.truth()


@pytest.mark.parametrize("name", ["", "private"])
def test_what_cannot_be_looked_at_is_not_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A folder that may be listed and not entered, or one whose place on the disk is bad."""
    for each in ("private/a.jpg", "private/deep/b.jpg", "c.jpg"):
        world.put(each)
    world.settle()
    private, real = os.stat(world.root / name), os.stat

    def failing(path: Any, **options: Any) -> os.stat_result:
        above = options.get("dir_fd")
        if above is not None and os.path.samestat(os.fstat(above), private):
            raise OSError(5, "Input/output error")
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", failing)
        world.settle()
        world.settle()
        assert world.known() == world.truth()
        assert world.reconciler.denied() == {os.fsencode(world.root / name)}
    world.put("private/new.jpg")
    world.settle()
    assert world.known() == world.truth()
    assert world.reconciler.denied() == frozenset()


def test_of_a_folder_that_is_no_more_it_is_not_told_that_it_may_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("private/a.jpg")
    other = world.root.parent / "other"
    (other / "private").mkdir(parents=True)
    private, real = os.fsencode("private"), reach.folder

    def refuse(path: bytes, **options: bool) -> AbstractContextManager[int]:
        if path.endswith(private) and os.path.exists(path):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(reach, "folder", refuse)
    monkeypatch.setattr(walk, "DENIED_RETRY_S", 0.2)
    world.add(other)
    world.settle()
    assert len(world.reconciler.denied()) == 2
    shutil.rmtree(world.root / "private")
    until(lambda: world.reconciler.denied() == {os.fsencode(other / "private")}, "the first to go")
    world.remove(other)
    assert world.reconciler.denied() == frozenset()
    until(lambda: not world.reconciler._walker.denied, "what is watched no longer to be forgotten")


def test_of_a_folder_below_a_link_it_is_not_told_that_it_may_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder was moved to another disk, and a link to it took its place."""
    world.put("album/private/a.jpg")
    real = reach.folder

    def refuse(path: bytes, **options: bool) -> AbstractContextManager[int]:
        if path.endswith(b"private"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(reach, "folder", refuse)
    monkeypatch.setattr(walk, "DENIED_RETRY_S", 0.2)
    world.settle()
    assert world.reconciler.denied() == {os.fsencode(world.root / "album/private")}
    (world.root / "album").rename(world.root.parent / "moved")
    (world.root / "album").symlink_to(world.root.parent / "moved")
    until(lambda: not world.reconciler.denied(), "the folder to be forgotten")


def test_a_library_of_more_files_than_can_be_under_way(
    new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All count as pending, and none is forgotten; some of them change while they are put off."""
    monkeypatch.setattr(walk, "MOST_SEEN", 4)
    world = new_world(most=10)
    for folder in range(5):
        for number in range(7):
            world.hold.add(world.put(f"{folder}/{folder}{number}.jpg").name)
    world.put("last.jpg")
    world.hold.add("last.jpg")
    world.reconciler.start()
    until(lambda: world.backlog.pending == 36, "all of them")
    assert len(world.held) == 10
    world.put("4/46.jpg", "another")
    (world.root / "4" / "45.jpg").unlink()

    def work_goes_on() -> bool:
        while world.held:
            world.finish(world.held.pop())
        return world.known() == world.truth() and not world.backlog.pending

    until(work_goes_on, "the index")
    assert world.reconciler.settle(PATIENCE_S)


def test_folders_that_nobody_watches_are_looked_at_now_and_then(
    new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.2)
    monkeypatch.setattr(compare, "STILL_S", 0.1)
    world, add = new_world(), Lookout.add
    far = os.fsencode(world.root / "far")

    def add_near(lookout: Lookout, folder: bytes, root: bytes) -> bool:
        return not folder.startswith(far) and add(lookout, folder, root)

    uncovered = frozenset({far, far + b"/away"})
    monkeypatch.setattr(Lookout, "add", add_near)
    monkeypatch.setattr(Lookout, "uncovered", uncovered)
    world.put("far/away/a.jpg")
    world.start()
    world.put("far/b.jpg")
    world.put("far/away/c.jpg")
    (world.root / "far" / "away" / "a.jpg").unlink()
    until(lambda: world.known() == world.truth(), "the files")


def test_a_change_through_one_link_is_a_change_of_all(world: World) -> None:
    one = world.put("one/a.jpg")
    (world.root / "two").mkdir()
    os.link(one, world.root / "two" / "b.jpg")
    world.settle()
    with open(world.root / "two" / "b.jpg", "w") as file:
        file.write("another")
    until(lambda: world.known() == world.truth(), "the change")


def test_a_file_that_is_cut_short_makes_no_sign_of_a_writer(world: World) -> None:
    path = world.put("a.jpg", "something long")
    world.settle()
    os.truncate(path, 4)
    until(lambda: world.known() == world.truth(), "the change")


def test_what_is_recorded_between_a_look_and_its_booking_is_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.hold.add("a.jpg")
    world.put("a.jpg")
    until(lambda: world.held, "the file under way")
    walker = world.reconciler._walker
    book = walker._book

    def late(found: Pass) -> None:
        world.hold.clear()
        while world.held:
            world.finish(world.held.pop())
        book(found)

    monkeypatch.setattr(walker, "_book", late)
    world.settle()
    assert world.known() == world.truth()
    assert world.read == []


def test_a_scan_waits_for_nothing_that_is_no_more(world: World) -> None:
    """A folder that was to be looked at again may be gone when everything is looked at instead."""
    world.backlog.unready(os.fsencode(world.root / "gone" / "deeper"), [None])
    world.settle()
    assert world.backlog.pending == 0


@pytest.mark.parametrize("seed", range(3))
def test_after_any_churn_the_index_is_what_is_there(
    world: World, tmp_path: Path, seed: int
) -> None:
    """Files and folders are made, changed, moved, swapped and deleted, within the root and across it."""
    dice = random.Random(seed)
    outside = tmp_path / "outside"
    outside.mkdir()

    def some(kind: str) -> Path:
        base = outside if dice.random() < 0.15 else world.root
        found = [path for path in sorted(base.rglob("*")) if getattr(path, kind)()]
        return dice.choice(found or [base])

    for step in range(150):
        action = dice.choice(
            ["write", "write", "change", "mkdir", "move", "move", "drop", "rmtree"]
        )
        target = some("is_dir") / f"{dice.randrange(6)}"
        source = some("is_dir") if dice.random() < 0.4 else some("is_file")
        try:
            if action == "mkdir":
                (target / "deep").mkdir(parents=True)
            elif action == "write":
                target.write_text(f"{seed}-{step}")
                os.utime(target, LONG_AGO)
            elif action == "change" and source.is_file():
                source.write_text(f"{step}-{seed}")
            elif source in (world.root, outside):
                continue
            elif action == "move":
                source.rename(target)
            elif action == "drop" and source.is_file():
                source.unlink()
            elif action == "rmtree" and source.is_dir():
                shutil.rmtree(source)
        except OSError:
            continue
    world.put("the last.jpg")
    world.settle()
    assert world.known() == world.truth()


def test_a_root_that_goes_amid_a_look_keeps_its_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of it had not been looked at by then is not gone, and is back with it."""
    for name in ("a/a.jpg", "b/b.jpg", "b/deep/c.jpg", "d.jpg"):
        world.put(name)
    world.settle()
    truth, real = world.known(), reach.folder
    world.read.clear()
    once = iter([world.root])

    def late(path: bytes, **options: bool) -> AbstractContextManager[int]:
        if path.startswith(os.fsencode(world.root) + b"/"):
            for root in once:
                root.rename(tmp_path / "away")
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reach, "folder", late)
        world.settle()
        until(lambda: world.known() == {}, "to miss the root")
        assert world.index.counts().offline == 4
        (tmp_path / "away").rename(world.root)
    until(lambda: world.known() == truth, "its files to be back")
    world.settle()
    assert world.known() == truth
    assert world.read == []
