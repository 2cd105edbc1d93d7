"""inotify: what only Linux does, and does to us."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from conftest import until
from imgqd.library.dirty import Dirty
from looker import Looker

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

from watchdog.observers import inotify_c
from watchdog.observers.inotify_c import InotifyConstants as In

from imgqd.library import inotify as module
from imgqd.library import inotify_reader
from imgqd.library.inotify import InotifyWatch
from imgqd.library.inotify_reader import InotifyReader
from mounting import mounts_copied

Refuse = Callable[[int], AbstractContextManager[None]]


def reader(looker: Looker) -> InotifyReader:
    return looker.watch._reader  # type: ignore[attr-defined,no-any-return]


def number(looker: Looker, folder: Path) -> int:
    """The kernel's number of a folder's watch."""
    return looker.watch._numbers[os.fsencode(folder)]  # type: ignore[attr-defined,no-any-return]


def stop_in(thread: InotifyReader) -> None:
    """Ends a thread in the midst of what it does."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )


@pytest.fixture
def own(tmp_path: Path) -> bytes:
    """The watcher's own folder."""
    return os.fsencode(tmp_path / "own")


@pytest.fixture
def inotify(tmp_path: Path, own: bytes) -> Iterator[Looker]:
    watch = InotifyWatch(Dirty(), own)
    watch.start()
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    looker = Looker(watch, watch._dirty, root)
    looker.cover()
    yield looker
    watch.stop()


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


def test_a_file_that_may_be_read_by_now_is_told(inotify: Looker) -> None:
    path = inotify.root / "a" / "red.jpg"
    # What is written is told of once more, later.
    path.touch()
    inotify.tells_after(lambda: path.chmod(0o600), path.parent)


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


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """The kernel's refusal of each watch, by its number."""

    @contextmanager
    def refusing(number: int) -> Iterator[None]:
        def add_watch(*_: object) -> int:
            ctypes.set_errno(number)
            return -1

        with monkeypatch.context() as patch:
            patch.setattr(inotify_reader, "inotify_add_watch", add_watch)
            yield

    return refusing


def test_a_folder_that_may_not_be_read_is_not_taken_for_watched(
    inotify: Looker, refuse: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    folder = inotify.root / "a" / "private"
    folder.mkdir()
    with refuse(errno.EACCES):
        assert inotify.cover(folder) == [folder]
        assert inotify.cover(folder) == [folder]
        assert inotify.watch.refused() == {errno.EACCES: {os.fsencode(folder)}}
    assert inotify.cover(folder) == [folder]
    assert inotify.cover(folder) == []
    assert inotify.watch.refused() == {}
    assert not caplog.records, "whoever tries to list it tells"
    inotify.tells_after(lambda: (folder / "red.jpg").write_bytes(b"1"), folder)


def test_the_limit_of_watches_is_noticed_and_said_once(
    inotify: Looker, refuse: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    new = [inotify.root / "c", inotify.root / "d"]
    for folder in new:
        folder.mkdir()
    with refuse(errno.ENOSPC):
        for folder in (*new, *new):
            assert inotify.cover(folder) == [folder]
        assert inotify.watch.refused() == {errno.ENOSPC: set(map(os.fsencode, new))}
    assert len(caplog.records) == 1
    inotify.tells_after(lambda: (inotify.root / "a" / "x").write_bytes(b"1"), inotify.root / "a")
    inotify.watch.forget([os.fsencode(new[0])])
    assert inotify.watch.refused() == {errno.ENOSPC: {os.fsencode(new[1])}}
    assert set(inotify.cover()) == set(new)
    assert inotify.watch.refused() == {}


def test_a_folder_that_is_refused_is_no_longer_taken_for_watched(
    inotify: Looker, refuse: Refuse
) -> None:
    folder = inotify.root / "a"
    with refuse(errno.ENOMEM):
        assert inotify.cover(folder) == [folder, folder / "b"]
    assert inotify.cover() == [folder, folder / "b"]


def test_without_an_instance_nothing_is_watched(
    monkeypatch: pytest.MonkeyPatch, own: bytes
) -> None:
    def refuse() -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_init", refuse)
    watch = InotifyWatch(Dirty(), own)
    with pytest.raises(OSError, match="instance limit"):
        watch.start()
    assert not watch.add(own, own)
    assert not watch.probe()
    assert not watch.review()
    watch.forget([own])
    assert not watch.is_alive()
    watch.stop()


def test_lost_events_make_everything_dirty(
    inotify: Looker, caplog: pytest.LogCaptureFixture
) -> None:
    inotify.watch._hear(inotify_c.InotifyEvent(-1, In.IN_Q_OVERFLOW, 0, b""))  # type: ignore[attr-defined]
    assert inotify.watch.overflows == 1
    inotify.dirty.hurry()
    assert inotify.dirty.take(20.0).everything
    assert not caplog.records, "the lookout tells, and not each time"


def test_a_folder_that_the_kernel_no_longer_watches_is_looked_at(inotify: Looker) -> None:
    """Another folder may have its name, and its inode's number, by now."""
    folder = inotify.root / "a" / "b"
    inotify.settle()
    reader(inotify).unwatch([number(inotify, folder)])
    inotify.tells_of(folder)
    assert inotify.cover() == [folder]


def test_a_renamed_folder_keeps_the_watches_of_all_that_is_in_it(inotify: Looker) -> None:
    """The kernel tells of each that is given back: 16,384 would fill its queue."""
    for name in range(20):
        (inotify.root / "a" / f"{name}").mkdir()
    inotify.cover()
    before = reader(inotify).numbers()
    inotify.tells_after(lambda: (inotify.root / "a").rename(inotify.root / "new"), inotify.root)
    assert len(inotify.cover()) == 22
    inotify.watch.tidy()
    assert reader(inotify).numbers() == before
    inotify.tells_after((inotify.root / "new" / "7" / "x").touch, inotify.root / "new" / "7")


def test_watches_that_nobody_needs_are_given_back_a_few_at_a_time(
    inotify: Looker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 8)
    for name in range(18):
        (inotify.root / "a" / f"{name}").mkdir()
    inotify.cover()
    inotify.tells_after(lambda: (inotify.root / "a").rename(tmp_path / "gone"), inotify.root)
    left = []
    for _ in range(4):
        left.append(len(reader(inotify).numbers()))
        inotify.watch.tidy()
    assert left == [21, 13, 5, 1]


@pytest.fixture
def deaf(inotify: Looker, monkeypatch: pytest.MonkeyPatch) -> Looker:
    """Whose reader forgets to tell when a watch ends, as the kernel does when its queue is full."""
    hear = inotify.watch._hear  # type: ignore[attr-defined]
    told = lambda event: None if event.is_ignored else hear(event)  # noqa: E731
    monkeypatch.setattr(reader(inotify), "_hand_on", told)
    return inotify


def test_a_watch_that_ended_without_a_word_is_renewed_by_the_next_look(deaf: Looker) -> None:
    folder = deaf.root / "a" / "b"
    reader(deaf).unwatch([number(deaf, folder)])
    assert deaf.cover() == [folder]
    deaf.tells_after(lambda: (folder / "red.jpg").write_bytes(b"1"), folder)


def test_a_watch_that_ended_without_a_word_is_missed_at_the_second_review(deaf: Looker) -> None:
    folder = deaf.root / "a" / "b"
    deaf.settle()
    assert not deaf.watch.review()
    reader(deaf).unwatch([number(deaf, folder)])
    assert not deaf.watch.review()
    assert deaf.watch.review()
    deaf.tells_of(folder)
    assert not deaf.watch.review()
    assert deaf.cover() == [folder]
    assert not deaf.watch.review()


def test_a_watch_whose_end_is_under_way_is_not_missed(inotify: Looker) -> None:
    for _ in range(50):
        folder = inotify.root / "short-lived"
        folder.mkdir()
        inotify.cover(folder)
        folder.rmdir()
        assert not inotify.watch.review()
    inotify.settle()
    assert not inotify.watch.review()


def test_a_path_longer_than_the_system_takes_is_watched(inotify: Looker) -> None:
    above = os.open(inotify.root, os.O_RDONLY)
    path = os.fsencode(inotify.root)
    while len(path) < 5000:
        os.mkdir("x" * 200, dir_fd=above)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above, path = below, os.path.join(path, b"x" * 200)
    assert not inotify.watch.add(path, os.fsencode(inotify.root))
    assert inotify.watch.add(path, os.fsencode(inotify.root))

    def written() -> None:
        os.close(os.open("red.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=above))

    try:
        inotify.tells_after(written, Path(os.fsdecode(path)))
    finally:
        os.close(above)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_died_gives_back_what_it_held(own: bytes) -> None:
    before = len(os.listdir("/dev/fd"))
    watch = InotifyWatch(Dirty(), own)
    watch.start()
    assert watch.is_alive()
    assert watch._reader is not None
    stop_in(watch._reader)
    watch.probe()
    until(lambda: not watch.is_alive(), "the end of the thread")
    watch.stop()
    assert len(os.listdir("/dev/fd")) == before


def test_no_other_program_inherits_the_descriptor(inotify: Looker) -> None:
    assert not os.get_inheritable(reader(inotify)._inotify_fd)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) is not installed")
def test_a_disk_that_is_taken_away_is_told(tmp_path: Path) -> None:
    """In a mount namespace of its own: the script mounts, watches, unmounts, and mounts again."""
    script = Path(__file__).with_name("unmounting.py")
    with mounts_copied():
        done = subprocess.run(
            ["unshare", "-m", sys.executable, str(script), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 77:
        pytest.skip(f"this machine does not let a test mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
