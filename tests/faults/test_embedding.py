"""From a path to a recorded embedding, whatever happens meanwhile: a real daemon, and a fake embedder that
counts its pictures."""

from __future__ import annotations

import io
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import oracle
import tiny
from conftest import Home, until
from pictures import jpeg, painted, png

NewHome = Callable[..., Home]
# Beyond the deadline in plants/short_deadlines.py.
STOPPED_S = 4.0


def fill(folder: Path, count: int, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """That many pictures, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    return [jpeg(folder / f"{number}.jpg", number, size) for number in range(count)]


def start_planted(home: Home, name: str) -> None:
    """The daemon has loaded the plant when this returns."""
    home.plant(name)
    home.start()
    until(lambda: home.status().model.state != "loading", "the text tower")


def processes(home: Home, role: str) -> list[psutil.Process]:
    return [psutil.Process(each.pid) for each in home.status().processes if each.role == role]


def test_fault_02_a_folder_renamed_amid_its_embedding_is_embedded_once(new_home: NewHome) -> None:
    home = new_home(slow=0.1).start()
    folder = home.pictures / "0"
    fill(folder, 300)
    home.watch()
    for number in range(1, 4):
        until(lambda number=number: home.embedded() >= 60 * number, "some embeddings")
        folder = folder.rename(home.pictures / str(number))
    status = home.settle()
    oracle.check(home, home.pictures)
    assert (home.embedded(), status.counters.embedded, status.index.files) == (300, 300, 300)


def test_fault_02_files_that_go_amid_their_embedding_come_back_for_nothing(
    new_home: NewHome,
) -> None:
    home = new_home(slow=0.5).start()
    paths = fill(home.pictures, 48)
    kept = [path.read_bytes() for path in paths]
    home.watch()
    until(home.embedded, "the first batch")
    for path in paths:
        path.unlink()
    home.settle()
    assert home.indexed() == {}
    for path, data in zip(paths, kept, strict=True):
        path.write_bytes(data)
    home.settle()
    oracle.check(home, home.pictures)
    assert home.embedded() == 48


@pytest.mark.parametrize("who", ["the daemon", "everybody"])
def test_fault_40_a_stop_amid_the_work_is_nobodys_failure(new_home: NewHome, who: str) -> None:
    home = new_home()
    home.settings("decoders = 1\n")
    start_planted(home, "short_deadlines")
    large = png(home.folder / "large.png", 1, (3000, 2000), compress_level=1).read_bytes()
    for number in range(3):
        # What follows a picture's end makes other bytes of it.
        (home.pictures / f"{number}.png").write_bytes(large + bytes([number]))
    (decoder,) = until(lambda: processes(home, "decoder"), "the decoder")
    at_rest = decoder.cpu_times().user
    home.watch()
    until(lambda: decoder.cpu_times().user > at_rest + 0.05, "a picture to be decoded")
    stop(home, who == "everybody", STOPPED_S)
    status = home.settle()
    assert home.json("errors") == []
    oracle.check(home, home.pictures)
    assert (home.embedded(), status.counters.restarts) == (3, 0)
    assert decoder.is_running()


def stop(home: Home, everybody: bool, seconds: float) -> None:
    """As a laptop that sleeps, or as somebody with Ctrl-Z."""
    assert home.daemon is not None
    daemon = psutil.Process(home.daemon.pid)
    stopped = [daemon, *(daemon.children(recursive=True) if everybody else [])]
    for process in stopped:
        process.suspend()
    wait(seconds)
    for process in stopped:
        process.resume()


def wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "the time to pass")


@pytest.mark.parametrize("same_time", [True, False])
def test_fault_26_other_bytes_of_the_same_length_are_embedded(home: Home, same_time: bool) -> None:
    path = home.pictures / "picture.png"
    path.write_bytes(tiny.png(1))
    oracle.check(home, home.pictures)
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(tiny.png(2))
    if same_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    expected = oracle.check(home, home.pictures)
    assert not oracle.misembedded(home, expected)
    os.utime(path)
    home.settle()
    assert home.embedded() == 2


def test_fault_27_other_bytes_within_the_grain_of_time_are_seen_by_the_next_scan(
    new_home: NewHome,
) -> None:
    home = new_home()
    start_planted(home, "coarse_times")
    home.watch()
    path = home.pictures / "picture.png"
    path.write_bytes(tiny.png(1))
    first = path.stat().st_mtime_ns
    for number in range(2, 5):
        oracle.check(home, home.pictures)
        path.write_bytes(tiny.png(number))
        os.utime(path, ns=(first, first))
    oracle.check(home, home.pictures)
    assert home.embedded() == 4


def test_fault_28_a_slow_download_is_embedded_once_at_its_end(home: Home) -> None:
    """Of a film, whose first picture could be shown long before its last."""
    first, *others = [painted(number, (600, 400)) for number in range(8)]
    film = io.BytesIO()
    first.save(film, "GIF", save_all=True, append_images=others)
    data = film.getvalue()
    step = len(data) // 8 + 1
    with open(home.pictures / "film.gif", "wb") as file:
        for start in range(0, len(data), step):
            file.write(data[start : start + step])
            file.flush()
            os.fsync(file.fileno())
            wait(0.4)
            counts = home.status().index
            assert (counts.files, counts.failed) == (0, 0)
    oracle.check(home, home.pictures)
    assert home.embedded() == 1


def test_fault_29_a_file_replaced_while_it_is_decoded(new_home: NewHome) -> None:
    home = new_home()
    start_planted(home, "replaced")
    (home.folder / "other").write_bytes(tiny.png(2))
    (home.pictures / "picture.png").write_bytes(tiny.png(1))
    home.watch()
    until(lambda: not (home.folder / "other").exists(), "the picture to be replaced")
    oracle.check(home, home.pictures)
    # The vector that is known for the first bytes is theirs.
    (home.pictures / "first.png").write_bytes(tiny.png(1))
    expected = oracle.check(home, home.pictures)
    assert len(expected.pictures) == 2
    assert not oracle.misembedded(home, expected)


def test_fault_29_a_file_replaced_while_it_is_embedded(new_home: NewHome) -> None:
    home = new_home(slow=0.3).start()
    home.watch()
    for number in range(1, 4):
        for file in range(20):
            (home.pictures / f"{file}.png").write_bytes(tiny.png(100 * number + file))
        until(lambda number=number: home.embedded() >= 4 * number, "some to be embedded")
    for file in range(20):
        # What went is embedded, or was never: its vector is its own in either case.
        (home.pictures / f"again-{file}.png").write_bytes(tiny.png(100 + file))
    expected = oracle.check(home, home.pictures)
    assert not oracle.misembedded(home, expected)
    assert home.embedded() <= 60


def obstruct() -> None:
    """Puts into this folder what is named like a picture and is no file."""
    os.mkfifo("fifo.png")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket.png")
    os.mkdir("folder.png")
    os.symlink("/dev/zero", "link.png")
    if os.geteuid() == 0:
        os.mknod("device.png", 0o600 | stat.S_IFCHR, os.makedev(1, 5))


def test_fault_31_what_is_no_file_is_passed_by(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_passed_by() -> bool:
        counts = home.settle().index
        return (counts.files, counts.failed, counts.ignored) == (0, 0, 0)

    monkeypatch.chdir(home.pictures)
    obstruct()
    assert is_passed_by()
    names = os.listdir()
    os.rmdir("folder.png")
    for number, name in enumerate(names):
        Path(name).unlink(missing_ok=True)
        Path(name).write_bytes(tiny.png(number))
    oracle.check(home, home.pictures)
    for name in names:
        os.unlink(name)
    obstruct()
    assert is_passed_by()


@pytest.mark.parametrize("wrong", ["nan", "inf", "zero"])
def test_fault_51_a_vector_that_is_none_is_one_pictures_failure(
    new_home: NewHome, wrong: str
) -> None:
    home = new_home(**{wrong: 2}).start()
    for number in range(5):
        (home.pictures / f"{number}.png").write_bytes(tiny.png(number))
    home.watch()
    status = home.settle()
    (error,) = home.json("errors")
    assert "no usable vector" in error["reason"]
    assert (status.index.files, status.index.failed, status.counters.embedded) == (4, 1, 4)
    assert not oracle.misembedded(home, oracle.truth(home.pictures))
    assert len(home.search("red")) == 4


def test_fault_51_vectors_of_the_wrong_length_are_failures(new_home: NewHome) -> None:
    home = new_home(short=1).start()
    (home.pictures / "first.png").write_bytes(tiny.png(1))
    home.watch()
    home.settle()
    assert [error["path"] for error in home.json("errors")] == [str(home.pictures / "first.png")]
    (home.pictures / "second.png").write_bytes(tiny.png(2))
    home.settle()
    assert list(home.indexed()) == [home.pictures / "second.png"]
    assert home.status().counters.restarts == 0


def test_fault_56_a_poisonous_picture_is_tried_twice_in_all(new_home: NewHome) -> None:
    home, copies = new_home(), 20
    # Each has its turn when the one before it has failed.
    home.settings("decoders = 1\n")
    start_planted(home, "poison")
    fill(home.pictures, 10)
    for number in range(copies):
        jpeg(home.pictures / f"{number}-poison.jpg", 99)
    home.watch()
    until(lambda: home.json("errors"), "the first attempt")
    for end in (home.kill, home.stop, home.kill):
        end()
        home.start()
        home.settle()
        assert len(home.indexed()) == 10
    errors = home.json("errors")
    assert {(each["kind"], each["attempts"]) for each in errors} == {("crashed", 2)}
    assert len(errors) == copies
    assert (home.folder / "tried").read_text().splitlines() == ["tried"] * 2
