"""From a path to a recorded embedding, whatever happens meanwhile: a real daemon, and a fake embedder that
counts its pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import xxhash

from conftest import Home, until
from pictures import jpeg, png

NewHome = Callable[..., Home]
# Beyond the deadline in plants/short_deadlines.py.
STOPPED_S = 4.0


def fill(folder: Path, count: int, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """That many pictures, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    return [jpeg(folder / f"{number}.jpg", number, size) for number in range(count)]


def truth(folder: Path) -> dict[Path, str]:
    """Every picture under a folder with the hash of its bytes, as the index should have it."""
    paths = [path for path in folder.rglob("*.*g") if path.is_file()]
    return {path: f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}" for path in paths}


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
    assert home.indexed() == truth(home.pictures)
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
    assert home.indexed() == truth(home.pictures)
    assert home.embedded() == 48


@pytest.mark.parametrize("who", ["the daemon", "everybody"])
def test_fault_40_a_stop_amid_the_work_is_nobodys_failure(new_home: NewHome, who: str) -> None:
    home = new_home(slow=0.3)
    home.plant("short_deadlines")
    home.settings("decoders = 1\n")
    home.start()
    until(lambda: home.status().model.state != "loading", "the text tower")
    large = png(home.folder / "large.png", 1, (4000, 3000), compress_level=1).read_bytes()
    for number in range(6):
        # What follows a picture's end makes other bytes of it.
        (home.pictures / f"{number}.png").write_bytes(large + bytes([number]))
    (decoder,) = processes(home, "decoder")
    at_rest = decoder.cpu_times().user
    home.watch()
    until(lambda: decoder.cpu_times().user > at_rest + 0.05, "a picture to be decoded")
    stop(home, who == "everybody", STOPPED_S)
    status = home.settle()
    assert home.json("errors") == []
    assert home.indexed() == truth(home.pictures)
    assert (home.embedded(), status.counters.restarts) == (6, 0)
    assert decoder.is_running()


def stop(home: Home, everybody: bool, seconds: float) -> None:
    """As a laptop that sleeps, or as somebody with Ctrl-Z."""
    assert home.daemon is not None
    daemon = psutil.Process(home.daemon.pid)
    stopped = [daemon, *(daemon.children(recursive=True) if everybody else [])]
    for process in stopped:
        process.suspend()
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "the end of the stop")
    for process in stopped:
        process.resume()
