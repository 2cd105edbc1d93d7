"""Who tells that a folder changed: real events of the system, through both backends.

`Looker` does what the reconciler does with hints: it watches what is new and lists it afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
)

from conftest import until
from imgqd.library.dirty import Dirty
from imgqd.library.observer import ObserverWatch
from imgqd.library.watch import Watch, open_watch

if sys.platform == "linux":
    from watchdog.observers import inotify_c

    from imgqd.library.inotify import InotifyWatch

    BACKENDS: list[Callable[[Dirty], Watch]] = [InotifyWatch, ObserverWatch]
else:
    BACKENDS = [ObserverWatch]

# On Linux watchdog's own walk of new folders runs into itself, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Looker:
    """A watcher on a folder, and what it has hinted at so far."""

    def __init__(self, watch: Watch, dirty: Dirty, root: Path) -> None:
        self.watch = watch
        self.dirty = dirty
        self.root = root
        self.hinted: set[Path] = set()
        self.deep: set[Path] = set()
        self.closed: set[Path] = set()
        self.emptied: set[Path] = set()

    def cover(self, top: Path | None = None) -> list[Path]:
        """Watches a folder and all under it; those that were not watched before."""
        folders = [Path(path) for path, _, _ in os.walk(top or self.root)]
        root = os.fsencode(self.root)
        return [each for each in folders if not self.watch.add(os.fsencode(each), root)]

    def listen(self) -> None:
        """Takes what there is by now."""
        self.dirty.hurry()
        hints = self.dirty.take(0.05)
        for told, kept in (
            (hints.folders, self.hinted),
            (hints.deep, self.deep),
            (hints.closed, self.closed),
            (hints.emptied, self.emptied),
        ):
            kept |= {Path(os.fsdecode(path)) for path in told}

    def tells_of(self, *folders: Path) -> None:
        """Waits until each of the folders is hinted at, or one above it with all that is in it."""

        def told() -> bool:
            self.listen()
            return all(
                each in self.hinted or any(each.is_relative_to(deep) for deep in self.deep)
                for each in folders
            )

        until(told, f"a hint at {', '.join(map(str, folders))}", patience=20.0)

    def tells_after(self, action: Callable[[], object], *folders: Path) -> None:
        """Forgets what was told before the action; waits as `tells_of`."""
        self.settle()
        action()
        self.tells_of(*folders)

    def sees_closed(self, path: Path) -> None:
        until(lambda: (self.listen(), path in self.closed)[1], f"the end of {path}", patience=20.0)

    def settle(self) -> None:
        """All that happened until now has been told, and is forgotten."""
        mark = self.root / f"mark-{len(list(self.root.glob('mark-*')))}"
        mark.write_bytes(b"1")
        self.sees_closed(mark)
        for kept in (self.hinted, self.deep, self.closed, self.emptied):
            kept.clear()


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.__name__)
def watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    watch: Watch = request.param(Dirty())
    watch.start()
    yield watch
    watch.stop()


@pytest.fixture
def looker(watch: Watch, tmp_path: Path) -> Looker:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    looker = Looker(watch, watch._dirty, root)  # type: ignore[attr-defined]
    looker.cover()
    return looker


def test_a_written_file_is_told_when_it_is_closed(looker: Looker) -> None:
    looker.settle()
    with open(looker.root / "a" / "red.jpg", "wb") as file:
        looker.tells_of(looker.root / "a")
        assert looker.root / "a" / "red.jpg" not in looker.closed
        file.write(b"1")
    looker.sees_closed(looker.root / "a" / "red.jpg")


def test_a_deleted_file_is_told_and_seen_as_deleted(looker: Looker) -> None:
    path = looker.root / "a" / "red.jpg"
    path.write_bytes(b"1")
    looker.tells_after(path.unlink, looker.root / "a")
    assert looker.root / "a" in looker.emptied
    assert looker.root not in looker.emptied


def test_a_file_moved_in_is_whole_and_one_moved_out_is_gone(looker: Looker, tmp_path: Path) -> None:
    outside, inside = tmp_path / "red.jpg", looker.root / "a" / "red.jpg"
    outside.write_bytes(b"1")
    looker.tells_after(lambda: outside.rename(inside), looker.root / "a")
    if not isinstance(looker.watch, ObserverWatch):
        # watchdog takes it for a new file: it is read when it has been still for a while.
        assert inside in looker.closed
    looker.tells_after(lambda: inside.rename(outside), looker.root / "a")
    assert looker.root / "a" in looker.emptied


def test_a_file_moved_inside_is_told_at_both_ends(looker: Looker) -> None:
    path = looker.root / "a" / "red.jpg"
    path.write_bytes(b"1")
    target = looker.root / "a" / "b" / "red.jpg"
    looker.tells_after(lambda: path.rename(target), looker.root / "a", looker.root / "a" / "b")
    assert target in looker.closed


def test_what_is_written_into_a_new_deep_folder_is_told(looker: Looker) -> None:
    deep = looker.root / "new" / "c" / "d"
    looker.tells_after(lambda: deep.mkdir(parents=True), looker.root)
    looker.cover()
    looker.tells_after(lambda: (deep / "red.jpg").write_bytes(b"1"), deep)
    looker.sees_closed(deep / "red.jpg")


def test_a_renamed_folder_is_told_under_its_new_name(looker: Looker) -> None:
    new = looker.root / "new"
    looker.tells_after(lambda: (looker.root / "a").rename(new), looker.root)
    looker.cover()
    looker.tells_after(lambda: (new / "b" / "red.jpg").write_bytes(b"1"), new / "b")
    assert looker.root / "a" / "b" not in looker.hinted


def test_a_folder_that_is_deleted_and_made_anew_is_told(looker: Looker) -> None:
    for _ in range(5):
        looker.tells_after(lambda: shutil.rmtree(looker.root / "a"), looker.root)
        looker.tells_after(lambda: (looker.root / "a" / "b").mkdir(parents=True), looker.root)
        looker.cover()
        deep = looker.root / "a" / "b"
        looker.tells_after(lambda deep=deep: (deep / "red.jpg").write_bytes(b"1"), deep)


def test_what_is_forgotten_is_told_no_longer(looker: Looker, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    second = Looker(looker.watch, looker.dirty, other)
    second.cover()
    second.settle()
    looker.watch.forget([os.fsencode(other)])
    (other / "deep" / "red.jpg").write_bytes(b"1")
    (other / "red.jpg").write_bytes(b"1")
    looker.settle()
    looker.tells_after(lambda: (looker.root / "red.jpg").write_bytes(b"1"), looker.root)
    looker.watch.forget([os.fsencode(other)])
    assert second.cover()
    second.tells_after(lambda: (other / "green.jpg").write_bytes(b"1"), other)


def test_a_folder_is_watched_once(looker: Looker) -> None:
    assert looker.cover() == []


def test_reading_makes_no_event(looker: Looker) -> None:
    path = looker.root / "a" / "red.jpg"
    path.write_bytes(b"1")
    looker.settle()
    path.read_bytes()
    os.listdir(path.parent)
    (looker.root / "green.jpg").write_bytes(b"1")
    looker.sees_closed(looker.root / "green.jpg")
    assert looker.hinted == {looker.root}


def test_a_folder_that_arrives_is_to_be_looked_at_with_all_that_is_in_it() -> None:
    """Where one watch covers all below it, nothing tells of what was in the folder before."""
    dirty = Dirty()
    watch = ObserverWatch(dirty)
    watch.dispatch(DirCreatedEvent("/r/new"))
    watch.dispatch(DirMovedEvent("/r/old", "/r/renamed"))
    watch.dispatch(DirDeletedEvent("/r/gone"))
    watch.dispatch(DirModifiedEvent("/r/other"))
    hints = dirty.take(20.0)
    assert hints.deep == {b"/r/new", b"/r/renamed"}
    assert hints.folders == {b"/r", b"/r/other"}


def test_a_folder_that_is_not_there_is_not_watched(looker: Looker) -> None:
    gone = os.fsencode(looker.root / "gone")
    assert not looker.watch.add(gone, gone)
    assert not looker.watch.add(gone, gone)
    assert looker.watch.is_alive()


def test_the_platform_has_a_watcher() -> None:
    watch = open_watch(Dirty())
    assert not watch.is_alive()
    watch.start()
    assert watch.is_alive()
    watch.stop()
    assert not watch.is_alive()


@pytest.fixture
def inotify(tmp_path: Path) -> Iterator[Looker]:
    watch = InotifyWatch(Dirty())
    watch.start()
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    looker = Looker(watch, watch._dirty, root)
    looker.cover()
    yield looker
    watch.stop()


@linux
def test_a_renamed_root_is_told_and_its_events_are_not_booked_to_it(
    inotify: Looker, tmp_path: Path
) -> None:
    root, moved = inotify.root, tmp_path / "moved"
    inotify.settle()
    root.rename(moved)
    inotify.tells_of(root, root.parent)
    root.mkdir()
    assert inotify.cover() == [root]
    inotify.settle()
    (moved / "a" / "red.jpg").write_bytes(b"1")
    (moved / "red.jpg").write_bytes(b"1")
    (root / "red.jpg").write_bytes(b"1")
    inotify.sees_closed(root / "red.jpg")
    assert inotify.hinted == {root}


@linux
def test_a_folder_moved_out_and_made_anew_is_told(inotify: Looker, tmp_path: Path) -> None:
    """The sequence that ends watchdog's own walk with a KeyError."""
    folder, outside = inotify.root / "a", tmp_path / "outside"
    inotify.tells_after(lambda: folder.rename(outside), inotify.root)
    folder.mkdir()
    inotify.cover()
    shutil.rmtree(folder)
    shutil.rmtree(outside)
    folder.mkdir()
    inotify.settle()
    inotify.cover()
    inotify.tells_after(lambda: (folder / "red.jpg").write_bytes(b"1"), folder)
    assert inotify.watch.is_alive()


@linux
def test_a_folder_made_anew_while_the_old_one_is_held_open_is_watched(inotify: Looker) -> None:
    folder = inotify.root / "a" / "b"
    holder = os.open(folder, os.O_RDONLY)
    try:
        inotify.tells_after(folder.rmdir, folder.parent)
        folder.mkdir()
        assert inotify.cover() == [folder]
        inotify.tells_after(lambda: (folder / "red.jpg").write_bytes(b"1"), folder)
    finally:
        os.close(holder)


@linux
def test_a_folder_swapped_unseen_is_watched_anew(inotify: Looker, tmp_path: Path) -> None:
    """A folder above the root is renamed: inotify says nothing."""
    outer = tmp_path / "outer"
    (outer / "root").mkdir(parents=True)
    watch, root = inotify.watch, outer / "root"
    second = Looker(watch, inotify.dirty, root)
    assert second.cover() == [root]
    outer.rename(tmp_path / "away")
    root.mkdir(parents=True)
    assert second.cover() == [root]
    second.tells_after(lambda: (root / "red.jpg").write_bytes(b"1"), root)


@linux
def test_a_root_that_is_a_link_is_watched_where_it_leads(inotify: Looker, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    second = Looker(inotify.watch, inotify.dirty, link)
    assert second.cover() == [link]
    second.tells_after(lambda: (tmp_path / "one" / "red.jpg").write_bytes(b"1"), link)
    link.unlink()
    link.symlink_to("two")
    assert second.cover() == [link]
    second.tells_after(lambda: (tmp_path / "two" / "red.jpg").write_bytes(b"1"), link)


@linux
def test_one_folder_under_two_names_is_told_under_both(inotify: Looker, tmp_path: Path) -> None:
    """As a bind mount, or a link that is followed, makes it."""
    alias = tmp_path / "alias"
    alias.symlink_to(inotify.root / "a")
    inotify.watch.add(os.fsencode(alias), os.fsencode(alias))
    assert inotify.cover() == []
    inotify.tells_after(lambda: (alias / "red.jpg").write_bytes(b"1"), alias, inotify.root / "a")
    inotify.watch.forget([os.fsencode(alias)])
    folder = inotify.root / "a"
    inotify.tells_after(lambda: (folder / "green.jpg").write_bytes(b"1"), folder)


@linux
def test_a_folder_that_may_not_be_read_is_not_taken_for_watched(
    inotify: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = inotify.root / "a" / "private"
    folder.mkdir()

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.EACCES)
        return -1

    with monkeypatch.context() as patch:
        patch.setattr(inotify_c, "inotify_add_watch", refuse)
        assert inotify.cover(folder) == [folder]
        assert inotify.cover(folder) == [folder]
    assert inotify.cover(folder) == [folder]
    assert inotify.cover(folder) == []
    inotify.tells_after(lambda: (folder / "red.jpg").write_bytes(b"1"), folder)


@linux
def test_the_limit_of_watches_is_noticed_and_said_once(
    inotify: Looker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (inotify.root / "c").mkdir()
    (inotify.root / "d").mkdir()

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    assert not inotify.watch.limited
    with monkeypatch.context() as patch:
        patch.setattr(inotify_c, "inotify_add_watch", refuse)
        assert len(inotify.cover()) == 2
    assert inotify.watch.limited
    assert len(caplog.records) == 1
    inotify.tells_after(lambda: (inotify.root / "a" / "x").write_bytes(b"1"), inotify.root / "a")


@linux
def test_without_an_instance_nothing_is_watched_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse() -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_init", refuse)
    watch = InotifyWatch(Dirty())
    watch.start()
    path = os.fsencode(tmp_path)
    assert not watch.add(path, path)
    watch.forget([path])
    assert watch.limited
    assert not watch.is_alive()
    watch.stop()


@linux
def test_lost_events_make_everything_dirty(inotify: Looker) -> None:
    overflow = inotify_c.InotifyEvent(-1, inotify_c.InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    inotify.watch._reader.handle_event(overflow)  # type: ignore[attr-defined]
    assert inotify.watch.overflows == 1
    inotify.dirty.hurry()
    assert inotify.dirty.take(20.0).everything


@linux
def test_a_folder_that_the_kernel_no_longer_watches_is_looked_at(inotify: Looker) -> None:
    """Another folder may have its name, and its inode's number, by now."""
    folder = inotify.root / "a" / "b"
    inotify.settle()
    inotify.watch.on_watch_deleted(inotify.watch._by_path[os.fsencode(folder)].number)  # type: ignore[attr-defined]
    inotify.tells_of(folder)
    assert inotify.cover() == [folder]


@linux
def test_a_reader_that_died_is_not_alive(inotify: Looker) -> None:
    assert inotify.watch.is_alive()
    reader = inotify.watch._reader  # type: ignore[attr-defined]
    reader.stop()
    reader.join(20.0)
    assert not inotify.watch.is_alive()


@linux
@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) is not installed")
def test_a_disk_that_is_taken_away_is_told(tmp_path: Path) -> None:
    """In a mount namespace of its own: the script mounts, watches, unmounts, and mounts again."""
    script = Path(__file__).with_name("unmounting.py")
    done = subprocess.run(
        ["unshare", "-m", sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"this machine does not let a test mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
