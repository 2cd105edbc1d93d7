"""Who tells that a folder changed: real events of the system, through both backends."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileMovedEvent,
)

from conftest import PATIENCE_S, until
from imgqd.library.dirty import Dirty
from imgqd.library.observer import ObserverWatch
from imgqd.library.watch import Watch, open_watch
from looker import Looker

if sys.platform == "linux":
    from imgqd.library.inotify import InotifyWatch

    BACKENDS: list[Callable[[Dirty, bytes], Watch]] = [InotifyWatch, ObserverWatch]
else:
    BACKENDS = [ObserverWatch]

# On Linux watchdog's own walk of new folders runs into itself, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


@pytest.fixture
def own(tmp_path: Path) -> bytes:
    """The watcher's own folder."""
    return os.fsencode(tmp_path / "own")


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.__name__)
def watch(request: pytest.FixtureRequest, own: bytes) -> Iterator[Watch]:
    watch: Watch = request.param(Dirty(), own)
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


def test_a_folder_that_arrives_is_to_be_looked_at_with_all_that_is_in_it(own: bytes) -> None:
    """Where one watch covers all below it, nothing tells of what was in the folder before."""
    dirty = Dirty()
    watch = ObserverWatch(dirty, own)
    watch.dispatch(DirCreatedEvent("/r/new"))
    watch.dispatch(DirMovedEvent("/r/old", "/r/renamed"))
    watch.dispatch(DirDeletedEvent("/r/gone"))
    watch.dispatch(DirModifiedEvent("/r/other"))
    hints = dirty.take(20.0)
    assert hints.deep == {b"/r/new", b"/r/renamed"}
    assert hints.folders == {b"/r", b"/r/other"}


def test_a_true_name_is_told_under_the_name_of_its_root(own: bytes, tmp_path: Path) -> None:
    """FSEvents knows no links."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to("real")
    dirty = Dirty()
    watch = ObserverWatch(dirty, own)
    for root in (link, tmp_path / "other"):
        watch.add(os.fsencode(root), os.fsencode(root))
    watch.dispatch(FileMovedEvent(str(real / "a" / "red.jpg"), str(real / "b" / "red.jpg")))
    watch.dispatch(DirModifiedEvent(str(real)))
    watch.dispatch(DirModifiedEvent(str(tmp_path / "other" / "c")))
    hints = dirty.take(20.0)
    other = tmp_path / "other" / "c"
    assert hints.folders == {*map(os.fsencode, (link, link / "a", link / "b", other))}
    assert hints.closed == {os.fsencode(link / "b" / "red.jpg")}
    assert hints.emptied == {os.fsencode(link / "a")}


@pytest.mark.parametrize("lately", ["schedule", "unschedule"])
def test_an_event_is_told_while_a_folder_comes_or_goes(
    own: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lately: str
) -> None:
    """watchdog tells under the very lock that it takes for a folder: each would wait for the other."""
    root, dirty = os.fsencode(tmp_path), Dirty()
    watch = ObserverWatch(dirty, own)
    told: list[bool] = []
    real = getattr(watch._observer, lately)

    def when_it_is_told(*arguments: Any, **named: Any) -> Any:
        event = DirModifiedEvent(str(tmp_path / "a"))
        teller = threading.Thread(target=watch.dispatch, args=(event,), daemon=True)
        teller.start()
        teller.join(PATIENCE_S)
        told.append(not teller.is_alive())
        return real(*arguments, **named)

    monkeypatch.setattr(watch._observer, lately, when_it_is_told)
    watch.add(root, root)
    watch.forget([root])
    assert told == [True]
    assert dirty.take(20.0).folders == {os.fsencode(tmp_path / "a")}


def test_a_folder_that_is_not_there_is_not_watched(looker: Looker) -> None:
    gone = os.fsencode(looker.root / "gone")
    assert not looker.watch.add(gone, gone)
    assert not looker.watch.add(gone, gone)
    assert looker.watch.is_alive()


def test_a_probe_comes_back_and_marks_nothing(looker: Looker, own: bytes) -> None:
    looker.settle()
    for _ in range(3):
        heard = looker.watch.heard
        assert looker.watch.probe()
        until(lambda heard=heard: looker.watch.heard > heard, "the probe", patience=20.0)
    (looker.root / "red.jpg").touch()
    looker.tells_of(looker.root)
    assert looker.hinted == {looker.root}
    shutil.rmtree(own)
    assert looker.watch.probe(), "whoever cleans up there does no harm"


def test_an_event_that_cannot_be_noted_makes_everything_dirty(
    looker: Looker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("planted")

    looker.settle()
    with monkeypatch.context() as patch:
        patch.setattr(looker.dirty, "mark", fail)
        for number in range(3):
            heard = looker.watch.heard
            (looker.root / f"{number}.jpg").write_bytes(b"1")
            until(lambda heard=heard: looker.watch.heard > heard, "an event", patience=20.0)
            looker.dirty.hurry()
            assert looker.dirty.take(20.0).everything
    assert len(caplog.records) == 1
    assert looker.watch.is_alive()
    looker.tells_after(lambda: (looker.root / "a" / "red.jpg").write_bytes(b"1"), looker.root / "a")


def test_a_watcher_gives_back_what_it_holds(watch: Watch, own: bytes, looker: Looker) -> None:
    """However it ended."""
    backend = type(watch)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        other = backend(Dirty(), own)  # type: ignore[call-arg]
        other.start()
        other.add(os.fsencode(looker.root), os.fsencode(looker.root))
        other.stop()
        other.stop()
        assert not other.is_alive()
    assert len(os.listdir("/dev/fd")) == before


def test_the_threads_of_an_observer_are_each_looked_at(own: bytes, tmp_path: Path) -> None:
    watch = ObserverWatch(Dirty(), own)
    watch.start()
    root = os.fsencode(tmp_path)
    watch.add(root, root)
    assert watch.is_alive()
    next(each for each in watch._observer.emitters if each.watch.path == str(tmp_path)).stop()
    until(lambda: not watch.is_alive(), "the end of an emitter")
    watch.stop()


def test_the_platform_has_a_watcher(own: bytes) -> None:
    watch = open_watch(Dirty(), own)
    assert not watch.is_alive()
    watch.start()
    assert watch.is_alive()
    watch.stop()
    assert not watch.is_alive()
