"""A root on a network, whose file system may hang: here it is a folder that is said to be one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from conftest import until
from imgqd.library import compare, mounts, reach, walk
from imgqd.reconcile import reconciler
from imgqd.store.database import database
from world import PATIENCE_S, World


class Network:
    """Every folder below it is said to be on a network; while it hangs, nobody who asks comes back."""

    def __init__(self, place: Path) -> None:
        self.place = os.fsencode(place)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0
        self._kind, self._folder, self._status = mounts.kind, reach.folder, reach.status

    def kind(self, folder: bytes) -> str:
        return "fuse.sshfs" if folder.startswith(self.place) else self._kind(folder)

    def folder(self, path: bytes, **options: bool) -> AbstractContextManager[int]:
        self._wait(path)
        return self._folder(path, **options)

    def status(self, path: bytes, **options: bool) -> os.stat_result:
        self._wait(path)
        return self._status(path, **options)

    def _wait(self, path: bytes) -> None:
        if path.startswith(self.place):
            self.asked += 1
            self.answers.wait()


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    (tmp_path / "nas").mkdir()
    network = Network(tmp_path / "nas")
    for module, name in ((mounts, "kind"), (reach, "folder"), (reach, "status")):
        monkeypatch.setattr(module, name, getattr(network, name))
    yield network
    network.answers.set()


@pytest.fixture
def world(tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(reconciler, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(compare, "STILL_S", 0.2)
    world = World(tmp_path)
    world.start()
    world.add(tmp_path / "nas")
    world.settle()
    yield world
    network.answers.set()
    world.stop()


def nas(world: World) -> Path:
    return world.root.parents[1] / "nas"


def put(world: World, name: str) -> None:
    world.put(os.path.relpath(nas(world) / name, world.root))


def test_a_scan_finds_what_no_event_tells_of(world: World) -> None:
    put(world, "deep/a.jpg")
    world.put("b.jpg")
    until(lambda: world.root / "b.jpg" in world.known(), "the local file")
    assert nas(world) / "deep" / "a.jpg" not in world.known()
    world.settle()
    assert world.known() == world.truth(world.root, nas(world))
    (nas(world) / "deep" / "a.jpg").rename(nas(world) / "c.jpg")
    world.settle()
    assert world.known() == world.truth(world.root, nas(world))


def test_one_that_hangs_is_away_and_holds_up_nobody(world: World, network: Network) -> None:
    put(world, "a.jpg")
    world.put("b.jpg")
    world.settle()
    network.answers.clear()
    asked = network.asked
    world.put("c.jpg")
    world.settle()
    assert network.asked > asked
    assert world.known() == world.truth()
    path = os.fsencode(nas(world))
    assert world.roots.offline() == [path]
    assert world.roots.reason(path) == "its file system does not answer"
    world.put("d.jpg")
    until(lambda: world.root / "d.jpg" in world.known(), "the next local file")
    put(world, "e.jpg")
    network.answers.set()
    until(lambda: world.known() == world.truth(world.root, nas(world)), "the return")
    assert world.roots.offline() == []
    assert [name for name, _ in world.read].count("a.jpg") == 1


def test_one_that_hangs_amid_a_folder_lets_the_index_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of the index cannot be emptied while anybody is amid reading."""
    put(world, "a.jpg")
    world.settle()
    hangs, answers, real = threading.Event(), threading.Event(), os.stat

    def hanging(path: Any, **options: Any) -> os.stat_result:
        if "dir_fd" in options and threading.current_thread().name.startswith("scout"):
            hangs.set()
            answers.wait()
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", hanging)
        patch.setattr(database, "MOST_LOG", 0)
        put(world, "b.jpg")
        world.dirty.mark_everything()
        assert hangs.wait(PATIENCE_S)
        world.put("c.jpg")
        until(lambda: world.root / "c.jpg" in world.known(), "the local file")
        assert world.reconciler.trouble is None
        answers.set()
    world.settle()
    assert world.known() == world.truth(world.root, nas(world))


def test_a_large_folder_is_held_part_by_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held, real = [], walk.paired

    def paired(entries: Any, *others: Any) -> Any:
        if isinstance(entries, list):
            held.append(len(entries))
        return real(entries, *others)

    monkeypatch.setattr(walk, "paired", paired)
    monkeypatch.setattr(walk, "MOST_HELD", 2)
    for name in "bdfhk":
        put(world, f"{name}.jpg")
    world.settle()
    assert world.known() == world.truth(world.root, nas(world))
    for name in "bfk":
        (nas(world) / f"{name}.jpg").unlink()
    for name in "aegl":
        put(world, f"{name}.jpg")
    world.settle()
    assert world.known() == world.truth(world.root, nas(world))
    assert sorted(name for name, _ in world.read) == [f"{name}.jpg" for name in "abdefghkl"]
    assert held[-4:] == [2, 2, 2, 0]


def test_what_holds_nothing_counts_while_it_is_there(world: World, network: Network) -> None:
    (nas(world) / "nothing").touch()
    world.settle()
    empties = world.library.empties
    assert empties.total == 1
    network.answers.clear()
    world.settle()
    assert empties.total == 0
    network.answers.set()
    until(lambda: not world.roots.offline(), "the return")
    world.settle()
    assert empties.total == 1
    away = nas(world).rename(nas(world).with_name("away"))
    world.settle()
    assert empties.total == 0
    away.rename(nas(world))
    world.settle()
    assert empties.total == 1


def test_it_is_looked_at_again_at_an_interval(
    tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "STILL_S", 0.2)
    world = World(tmp_path, rescan_unwatched=0.2)
    try:
        world.add(tmp_path / "nas")
        world.start()
        put(world, "a.jpg")
        until(lambda: world.known() == world.truth(nas(world)), "the file")
    finally:
        world.stop()


def test_one_that_has_no_thread_is_looked_at_later(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = threading.Thread.start, iter([RuntimeError("can't start new thread")])

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("scout"):
            for error in failures:
                raise error
        real(thread)

    monkeypatch.setattr(reconciler, "STORE_RETRY_S", 0.1)
    world.settle()
    monkeypatch.setattr(threading.Thread, "start", start)
    (tmp_path / "nas2").mkdir()
    world.put("../../nas2/a.jpg")
    world.add(tmp_path / "nas2")
    until(lambda: world.known() == world.truth(tmp_path / "nas2"), "the file")
    assert next(failures, None) is None


def test_a_root_that_is_removed_is_asked_no_more(world: World, network: Network) -> None:
    before = threading.active_count()
    world.remove(nas(world))
    until(lambda: threading.active_count() < before, "the end of its thread")
    assert world.reconciler.is_settled or world.reconciler.settle(10)


def test_the_end_does_not_wait_for_one_that_hangs(
    world: World, network: Network, new_thread: Callable[[Callable[[], None]], threading.Thread]
) -> None:
    network.answers.clear()
    world.dirty.mark_everything()
    until(lambda: os.fsencode(nas(world)) in world.roots.offline(), "the silence")
    end = new_thread(world.reconciler.stop)
    end.join(10.0)
    assert not end.is_alive()


@pytest.fixture
def new_thread() -> Callable[[Callable[[], None]], threading.Thread]:
    def new(call: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread

    return new
