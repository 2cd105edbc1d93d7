"""The watcher's supervision: a watcher that does wrong what it is told to, on a clock of the test's own;
then the real ones."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import until
from imgqd.library import lookout as module
from imgqd.library import pulse
from imgqd.library.dirty import Dirty
from imgqd.library.lookout import LATELY_S, REPLACE_S, RETRY_S, Lookout

BEAT_S = 2.0


@dataclass
class Told:
    """A watcher that is as it is told to be."""

    heard: int = 0
    overflows: int = 0
    probe_s: float = 0.0
    deaf_s: float = 4.0
    alive: bool = False
    hears: bool = True
    loses: bool = False
    failure: Exception | None = None
    refuses: dict[int, frozenset[bytes]] = field(default_factory=dict)
    added: set[bytes] = field(default_factory=set)
    probes: int = 0
    reviews: int = 0
    tidied: int = 0
    stopped: bool = False

    def start(self) -> None:
        if self.failure:
            raise self.failure
        self.alive = True

    def add(self, folder: bytes, root: bytes) -> bool:
        known = folder in self.added
        self.added.add(folder)
        return known

    def forget(self, folders: Collection[bytes]) -> None:
        self.added -= {*folders}

    def refused(self) -> Mapping[int, frozenset[bytes]]:
        return self.refuses

    def probe(self) -> bool:
        self.probes += 1
        self.heard += self.hears
        return True

    def tidy(self) -> None:
        self.tidied += 1

    def review(self) -> bool:
        self.reviews += 1
        return self.loses

    def is_alive(self) -> bool:
        return self.alive

    def stop(self) -> None:
        self.alive, self.stopped = False, True


class Scene:
    """A lookout, its watchers one after the other, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.watches: list[Told] = []
        self.failure: Exception | None = None
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(pulse, "time", clock)
        monkeypatch.setattr(module, "open_watch", self._open)
        self.dirty = Dirty()
        self.lookout = Lookout(self.dirty, b"/own")

    def _open(self, *_: object) -> Told:
        self.watches.append(Told(failure=self.failure))
        return self.watches[-1]

    @property
    def watch(self) -> Told:
        return self.watches[-1]

    def beat(self, seconds: float = BEAT_S) -> None:
        """So much later."""
        self.now += seconds
        self.lookout.beat()

    def beats(self, seconds: float) -> None:
        for _ in range(int(seconds / BEAT_S)):
            self.beat()

    def is_all_dirty(self) -> bool:
        self.dirty.hurry()
        return self.dirty.take(0.01).everything

    def codes(self) -> list[str]:
        return [trouble.code for trouble in self.lookout.outlook().troubles()]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(monkeypatch)
    scene.lookout.start()
    return scene


def test_a_watcher_that_hears_is_left_alone(scene: Scene) -> None:
    scene.beats(3600.0)
    assert len(scene.watches) == 1
    assert scene.lookout.replaced == 0
    assert scene.lookout.is_well
    assert not scene.is_all_dirty()
    assert scene.codes() == []
    assert scene.watch.tidied == 1800


def test_a_dead_one_is_replaced_within_one_beat(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.lookout.add(b"/a", b"/a")
    scene.beats(20.0)
    scene.watch.alive = False
    assert not scene.lookout.is_well
    scene.beat()
    assert scene.lookout.replaced == 1
    assert scene.watches[0].stopped
    assert scene.lookout.is_well
    assert scene.is_all_dirty()
    assert not scene.lookout.add(b"/a", b"/a"), "the new one knows no folder"
    assert scene.codes() == ["watcher_replaced"]
    assert "died" in caplog.text
    scene.beats(LATELY_S)
    assert scene.codes() == []
    assert scene.lookout.replaced == 1


def test_a_deaf_one_is_replaced_within_ten_seconds(scene: Scene) -> None:
    scene.beats(20.0)
    scene.watch.hears = False
    scene.beats(10.0)
    assert scene.lookout.replaced == 1
    assert scene.is_all_dirty()
    scene.beats(20.0)
    assert scene.lookout.replaced == 1


def test_any_event_says_that_it_hears(scene: Scene) -> None:
    """The probe's own may be one of those that a full queue loses."""
    scene.watch.hears = False
    for _ in range(20):
        scene.watch.heard += 1
        scene.beat()
    assert scene.lookout.replaced == 0


def test_an_event_of_before_the_probe_is_no_answer(scene: Scene) -> None:
    scene.beats(4.0)
    scene.watch.hears = False
    scene.watch.heard += 1
    scene.beats(10.0)
    assert scene.lookout.replaced == 1


def test_a_sleep_is_no_deafness(scene: Scene) -> None:
    """Whoever was stopped heard nothing meanwhile."""
    scene.beats(20.0)
    scene.watch.hears = False
    scene.beat()
    scene.beat(60.0)
    scene.watch.hears = True
    scene.watch.heard += 1
    scene.beats(20.0)
    assert scene.lookout.replaced == 0


def test_beats_in_a_row_are_no_deafness(scene: Scene) -> None:
    scene.watch.hears = False
    for _ in range(100):
        scene.beat(0.03)
    assert scene.lookout.replaced == 0


def test_a_probe_that_cannot_be_made_says_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.watch, "probe", lambda: False)
    scene.beats(60.0)
    assert scene.lookout.replaced == 0


def test_probes_are_as_far_apart_as_the_watcher_wants(scene: Scene) -> None:
    scene.watch.probe_s = 30.0
    scene.beats(300.0)
    assert 9 <= scene.watch.probes <= 11


def test_one_that_dies_again_and_again_is_not_replaced_more_often(scene: Scene) -> None:
    for _ in range(1000):
        scene.watch.alive = False
        scene.beat(0.1)
    assert 100.0 / REPLACE_S / 2 <= scene.lookout.replaced <= 100.0 / REPLACE_S


def test_one_that_does_not_end_is_left_behind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever died may have taken a lock along."""
    over = threading.Event()
    monkeypatch.setattr(module, "STOP_S", 0.05)
    monkeypatch.setattr(scene.watch, "stop", over.wait)
    scene.beats(20.0)
    scene.watch.alive = False
    scene.beat()
    assert scene.lookout.is_well
    assert "left behind" in caplog.text
    over.set()


def test_lost_events_are_counted_and_told_of_once_a_minute(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in range(10):
        scene.watch.overflows += 3
        scene.beat()
        assert scene.lookout.overflows == 3 * (seconds + 1)
        assert scene.codes() == ["events_lost"]
    assert len(caplog.records) == 1
    scene.beats(LATELY_S)
    assert scene.codes() == []
    scene.watch.overflows += 1
    scene.beat()
    assert len(caplog.records) == 2


def test_lost_events_that_never_end_are_told_of_every_minute(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(150):
        scene.watch.overflows += 1
        scene.beat()
    assert 5 <= len(caplog.records) <= 6


def test_what_one_lost_is_counted_with_the_next(scene: Scene) -> None:
    scene.beats(20.0)
    scene.watch.overflows += 2
    scene.watch.alive = False
    scene.beat()
    scene.watch.overflows += 1
    scene.beat()
    assert scene.lookout.overflows == 3


def test_lost_watches_make_everything_dirty(scene: Scene) -> None:
    scene.watch.loses = True
    scene.beat()
    assert scene.watch.reviews == 1
    assert scene.is_all_dirty()


def test_the_review_takes_little_of_the_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> bool:
        scene.now += 0.1
        scene.watch.reviews += 1
        return False

    monkeypatch.setattr(scene.watch, "review", slow)
    scene.beats(1000.0)
    assert 5 <= scene.watch.reviews <= 6


def test_without_a_watcher_it_scans_and_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(monkeypatch)
    scene.watch.failure = scene.failure = OSError(errno.EMFILE, "inotify instance limit reached")
    scene.lookout.start()
    scene.beats(4 * RETRY_S)
    assert not scene.lookout.is_well
    assert scene.lookout.limited
    assert scene.lookout.uncovered == frozenset()
    assert len(scene.watches) in (4, 5)
    assert len(caplog.records) == 1
    (trouble,) = scene.lookout.outlook().troubles()
    assert trouble.code == "no_watcher"
    assert "inotify instance limit reached" in trouble.message
    assert "max_user_instances" in trouble.remedy
    scene.is_all_dirty()
    scene.failure = None
    scene.beats(RETRY_S)
    assert scene.lookout.is_well
    assert not scene.lookout.limited
    assert scene.lookout.replaced == 0
    assert scene.is_all_dirty()
    assert scene.codes() == []


def test_a_thread_that_cannot_start_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.watch.failure = RuntimeError("can't start new thread")
    scene.lookout.start()
    (trouble,) = scene.lookout.outlook().troubles()
    assert "can't start new thread" in trouble.message
    assert "sysctl" not in trouble.remedy


def test_folders_that_are_not_watched_are_told(scene: Scene) -> None:
    scene.watch.refuses = {
        errno.ENOSPC: frozenset([b"/a", b"/b"]),
        errno.ENOMEM: frozenset([b"/d", b"/c"]),
        errno.EACCES: frozenset([b"/private"]),
    }
    assert scene.lookout.uncovered == {b"/a", b"/b", b"/c", b"/d", b"/private"}
    assert scene.lookout.limited
    limit, memory = scene.lookout.outlook().troubles()
    assert (limit.code, memory.code) == ("watch_limit", "unwatched")
    assert "not every folder can be watched" in limit.message
    assert "2 " in limit.message
    assert "fs.inotify.max_user_watches" in limit.remedy
    assert memory.path == b"/c"
    scene.watch.refuses = {errno.EACCES: frozenset([b"/private"])}
    assert not scene.lookout.limited
    assert scene.codes() == [], "who may not be read is named by who tried to"


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Lookout]:
    lookout = Lookout(Dirty(), os.fsencode(tmp_path / "run" / "lookout"))
    lookout.start()
    yield lookout
    lookout.stop()


def test_the_real_watcher_is_probed_in_a_private_folder(real: Lookout, tmp_path: Path) -> None:
    real.beat()
    until(lambda: real._watch.heard, "the answer to the probe")
    assert stat.S_IMODE((tmp_path / "run" / "lookout").stat().st_mode) == 0o700


def test_the_real_watcher_is_replaced_when_it_is_deaf(
    real: Lookout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "REPLACE_S", 0.0)
    monkeypatch.setattr(type(real._watch), "deaf_s", 0.2)
    before = len(os.listdir("/dev/fd"))
    deafened(real)
    until(lambda: (real.beat(), real.replaced)[1], "another watcher")
    folder = os.fsencode(tmp_path)
    assert not real.add(folder, folder)
    heard = real._watch.heard
    (tmp_path / "red.jpg").write_bytes(b"1")
    until(lambda: real._watch.heard > heard, "what it tells")
    assert len(os.listdir("/dev/fd")) == before


def deafened(lookout: Lookout) -> None:
    """The real watcher's thread lives, and waits for events that never come."""
    reader = getattr(lookout._watch, "_reader", None)
    if reader is None:
        pytest.skip("only inotify's reader can be made deaf from outside")
    reader._poller.unregister(reader._inotify_fd)
