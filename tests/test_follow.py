"""`imgq follow`: a line for each picture that arrives, over a real socket, as it arrives."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from conftest import PATIENCE_S, Home, until, watching
from imgq import client, wire
from library import rgb
from pictures import jpeg

BURST = 60


class Following:
    """`imgq follow`, running; its lines as they come."""

    def __init__(self, home: Home, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imgq", "follow", *words],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: list[str] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=each)
            for each in ((self.process.stdout, self._lines.put), (self.process.stderr, self._hear))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[bytes], take: Callable[[bytes], object]) -> None:
        with pipe:
            for line in pipe:
                take(line)

    def _hear(self, line: bytes) -> None:
        self.said.append(line.decode())

    def line(self) -> str:
        try:
            return self._lines.get(timeout=PATIENCE_S).decode().rstrip("\n")
        except queue.Empty:
            pytest.fail(f"nothing was told; it said {self.said}, exit code {self.process.poll()}")

    def object(self) -> dict[str, object]:
        told: dict[str, object] = json.loads(self.line())
        return told

    @property
    def is_silent(self) -> bool:
        return self._lines.empty()

    def interrupt(self) -> int:
        """The exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with watching(tmp_path_factory.mktemp("follow"), fill) as home:
        yield home


def fill(folder: Path) -> None:
    for number, color in enumerate(("green", "blue", "yellow", "purple") * 3):
        jpeg(folder / "old" / f"{number}.jpg", rgb(color), size=(8 + number, 8))


@contextmanager
def following(home: Home, *words: str) -> Iterator[Following]:
    """What arrives from here on is told, be it before the client is up."""
    follower = Following(home, "--since", str(last(home)), *words)
    try:
        yield follower
    finally:
        follower.close()


def followed(**search: object) -> Iterator[wire.Reply]:
    return client.stream(wire.Follow(search=wire.Search(terms=(), **search)), PATIENCE_S)


def last(home: Home) -> int:
    """The sequence number of the last arrival."""
    reply = next(followed())
    assert isinstance(reply, wire.Arrivals)
    return reply.last


def arrive(home: Home, name: str, color: str = "red", side: int = 9) -> str:
    """The path of a new picture that is settled."""
    path = jpeg(home.pictures / name, rgb(color), size=(side, 8))
    home.settle()
    return os.fspath(path)


def test_a_line_for_each_that_arrives_and_it_can_be_found_by_then(home: Home) -> None:
    with following(home) as follower:
        path = jpeg(home.pictures / "first.jpg", rgb("red"), size=(21, 8))
        assert follower.line() == os.fspath(path)
        assert path in home.indexed()
        assert os.fsencode(path) in [hit.path for hit in home.search("red")]


def test_only_what_matches_and_what_is_under_the_folder(home: Home) -> None:
    with following(home, "red", "--in", str(home.pictures / "in")) as follower:
        arrive(home, "in/blue.jpg", "blue", 22)
        arrive(home, "out/red.jpg", "red", 23)
        wanted = arrive(home, "in/red.jpg", "red", 24)
        score, path = follower.line().split("\t")
        assert (path, float(score) > 0.9) == (wanted, True)
    with following(home, "red", "--min-score", "-1", "--json") as follower:
        wanted = arrive(home, "in/blue again.jpg", "blue", 25)
        told = follower.object()
        assert (told["path"], told["width"], told["offline"]) == (wanted, 25, False)
        assert isinstance(told["score"], float)
        assert told["score"] < 0.9


def test_what_narrows_a_search_narrows_what_is_told(home: Home) -> None:
    narrowed = ("--text", "beach", "--size", ">=40x1", "--ext", "jpg,png", "--after", "yesterday")
    for side, words in ((61, narrowed), (71, ("red", *narrowed))):
        with following(home, *words) as follower:
            arrive(home, f"{side}/beach, small.jpg", "red", side // 2)
            arrive(home, f"{side}/mountains.jpg", "red", side)
            wanted = arrive(home, f"{side}/beach, large.jpg", "red", side + 1)
            assert follower.line().endswith(wanted)


def test_moves_and_touches_are_no_arrivals_copies_and_changes_are(home: Home) -> None:
    arrive(home, "here.jpg", side=26)
    with following(home, "--json") as follower:
        (home.pictures / "here.jpg").rename(home.pictures / "there.jpg")
        (home.pictures / "old").rename(home.pictures / "older")
        os.utime(home.pictures / "there.jpg", (1, 1))
        home.settle()
        shutil.copy(home.pictures / "there.jpg", home.pictures / "copy.jpg")
        assert told_paths(home, follower) == ["copy.jpg"]
        arrive(home, "there.jpg", "blue", 27)
        assert told_paths(home, follower) == ["there.jpg"]


def test_what_moves_does_not_arrive_and_what_takes_its_place_does(home: Home) -> None:
    a, b, c = (Path(arrive(home, f"{name}/moving.jpg", side=side)) for name, side in SIDES)
    with following(home, "--json") as follower:
        a.rename(home.pictures / "a" / "moved.jpg")
        jpeg(a, rgb("red"), size=(40, 8))
        assert told_paths(home, follower) == ["a/moving.jpg"]
        # To another folder, by other names of theirs, and over what was there.
        a.rename(home.pictures / "between.jpg")
        b.rename(a)
        (home.pictures / "between.jpg").rename(b)
        c.rename(home.pictures / "a" / "moved.jpg")
        assert told_paths(home, follower) == []
        os.link(b, home.pictures / "link.jpg")
        assert told_paths(home, follower) == ["link.jpg"]
        b.unlink()
        assert told_paths(home, follower) == []


SIDES = tuple(zip("abc", (37, 38, 39), strict=True))


def test_what_moves_while_the_daemon_is_away_does_not_arrive(home: Home) -> None:
    paths = [Path(arrive(home, f"{name}.jpg", side=side)) for name, side in SIDES]
    before = last(home)
    home.kill()
    for path in paths:
        path.rename(path.with_name(f"{path.stem} moved.jpg"))
    shutil.copy(home.pictures / "a moved.jpg", home.pictures / "a copy.jpg")
    home.start()
    home.settle()
    with following(home, "--since", str(before), "--json") as follower:
        assert told_paths(home, follower) == ["a copy.jpg"]
    # A follower that was not told before is told by the name that it has now.
    with following(home, "--since", str(before - 1), "--json") as follower:
        assert told_paths(home, follower) == ["a copy.jpg", "c moved.jpg"]


def test_what_moves_to_another_disk_does_not_arrive(home: Home, shm: Path) -> None:
    path = Path(arrive(home, "to another disk.jpg", side=43))
    shutil.copy2(path, home.pictures / "stays.jpg")
    home.watch(shm)
    home.settle()
    with following(home, "--json") as follower:
        shutil.move(path, shm / "moved.jpg")
        home.settle()
        shutil.copy2(home.pictures / "stays.jpg", shm / "copied.jpg")
        assert told_paths(home, follower) == [os.path.relpath(shm / "copied.jpg", home.pictures)]


@pytest.fixture
def shm(home: Home, tmp_path: Path) -> Iterator[Path]:
    """A folder of another file system, which is watched by nobody afterwards."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK) or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm cannot be written, or is the same file system")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)
        home.imgq("remove", folder)


def told_paths(home: Home, follower: Following) -> list[str]:
    """Those that arrived up to now and were not told before, under the folder."""
    home.settle()
    marker = arrive(home, f"markers/{next(MARKERS)}.jpg", "green", 50)
    paths = [*iter(lambda: follower.object()["path"], marker)]
    names = (os.path.relpath(str(path), home.pictures) for path in paths)
    return sorted(name for name in names if not name.startswith("markers/"))


MARKERS = itertools.count()


def test_many_come_once_each_and_in_order(home: Home) -> None:
    with following(home, "--json") as follower:
        paths = {
            os.fspath(jpeg(home.pictures / "burst" / f"{n}.jpg", n, size=(16, 16)))
            for n in range(BURST)
        }
        told = [follower.object() for _ in paths]
        assert {each["path"] for each in told} == paths
        numbers = [each["seq"] for each in told]
        assert numbers == sorted(set(numbers))  # type: ignore[type-var]


def test_nothing_is_missed_or_told_twice_while_the_daemon_is_away(home: Home) -> None:
    with following(home) as follower:
        before = arrive(home, "before.jpg", side=28)
        assert follower.line() == before
        home.kill()
        until(lambda: any("waiting" in said for said in follower.said), "the loss is said")
        path = jpeg(home.pictures / "meanwhile.jpg", rgb("red"), size=(29, 8))
        home.start()
        assert follower.line() == os.fspath(path)
        after = arrive(home, "after.jpg", side=30)
        assert follower.line() == after
        assert not any("gap" in said for said in follower.said)


def test_a_gap_is_said(home: Home) -> None:
    follower = Following(home, "--since", str(last(home) + 1000))
    try:
        until(lambda: any("there is a gap" in said for said in follower.said), "the gap is said")
        assert follower.interrupt() == 130
    finally:
        follower.close()
    request = wire.Follow(search=wire.Search(terms=()), origin=b"another", after=0)
    reply = next(client.stream(request, PATIENCE_S))
    assert isinstance(reply, wire.Arrivals)
    assert (reply.gap, reply.last, reply.arrivals) == (True, last(home), ())


def test_an_interrupt_and_a_closed_pipe_have_their_exit_codes(home: Home) -> None:
    with following(home) as follower:
        arrive(home, "interrupt.jpg", side=31)
        follower.line()
        assert follower.interrupt() == 130
    reading, writing = os.pipe()
    words = [sys.executable, "-m", "imgq", "follow", "--since", str(last(home))]
    process = subprocess.Popen(words, env=home.environment, stdout=writing)
    os.close(writing)
    os.close(reading)
    assert process.wait(PATIENCE_S) == 141


def test_followers_hold_up_nobody(home: Home) -> None:
    followers = [followed() for _ in range(40)]
    for follower in followers:
        next(follower)
    path = os.fsencode(arrive(home, "for all.jpg", side=32))
    assert home.search("red", timeout=10.0)
    for follower in followers:
        assert [arrival.path for arrival in told(follower)] == [path]


def told(follower: Iterator[wire.Reply]) -> list[wire.Arrival]:
    """The next that is told."""
    for reply in follower:
        assert isinstance(reply, wire.Arrivals)
        if reply.arrivals:
            return list(reply.arrivals)
    raise AssertionError("it came to an end")


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "-1"],
        ["--since", "x"],
        ["red", "--min-score", "much"],
        ["--text", "beach", "--min-score", "0.2"],
        ["-", "red"],
        ["--size", "huge"],
        ["--text", "..."],
    ],
)
def test_what_cannot_be_followed_is_said(home: Home, words: list[str]) -> None:
    done = home.imgq("follow", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"imgq: ")


def test_without_a_daemon_it_says_so(home: Home, tmp_path: Path) -> None:
    environment = home.environment | {"IMGQ_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "imgq", "follow"],
        env=environment,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 3
