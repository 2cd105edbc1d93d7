"""The disk of the index is full: searching goes on, and so does all else once there is space."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import disks
from conftest import Home, until
from pictures import jpeg

MOST_BUSY = 0.01
WATCHED_S = 3.0


@pytest.fixture
def small(new_home: Callable[..., Home]) -> Iterator[Home]:
    """A home on a disk of 12 MB, with a picture in its index; nothing runs."""
    home = new_home()
    with disks.tmpfs(home.folder / "home", "12m"):
        jpeg(home.pictures / "red.jpg", "red")
        home.start().watch()
        home.settle()
        home.stop()
        yield home
        if home.daemon is not None and home.daemon.poll() is None:
            home.kill()


def ballast(home: Home) -> Path:
    return home.folder / "home" / "ballast"


def codes(home: Home) -> set[str]:
    return {trouble.code for trouble in home.status().degraded}


def share_of_a_core(home: Home) -> float:
    """What the daemon and its children take, while nobody asks."""
    assert home.daemon is not None
    daemon = psutil.Process(home.daemon.pid)
    processes = [daemon, *daemon.children(recursive=True)]

    def spent() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    began, before = time.monotonic(), spent()
    until(lambda: time.monotonic() > began + WATCHED_S)
    return (spent() - before) / (time.monotonic() - began)


def fill_all_but(home: Home, left: int) -> None:
    disks.fill(ballast(home))
    with open(ballast(home), "ab") as file:
        file.truncate(ballast(home).stat().st_size - left)


def test_fault_43_full_while_it_runs(small: Home) -> None:
    home = small.start()
    fill_all_but(home, 400_000)
    for number in range(300):
        jpeg(home.pictures / f"{number}.jpg", number)
    until(lambda: "disk_full" in codes(home), "the disk to be full")
    (trouble,) = [each for each in home.status().degraded if each.code == "disk_full"]
    assert "no space left" in trouble.message
    assert "free some space" in trouble.remedy
    disks.fill(ballast(home))
    assert len(home.search("red", top=1)) == 1
    until(lambda: share_of_a_core(home) < MOST_BUSY, "the end of what was under way")
    # What can be found now was recorded whole.
    assert len(home.search("red", top=1000)) == len(home.indexed())

    ballast(home).unlink()
    status = home.settle()
    assert (status.index.files, status.index.failed) == (301, 0)
    until(lambda: "disk_full" not in codes(home), "the trouble to be over")
    assert len(home.search("red", top=1000)) == 301
    assert home.stop() == 0


TALKATIVE = """
import logging
from imgq.paths import places
from imgqd.health import journal
journal.open_log(places())
for number in range(1000):
    logging.error("line %d", number)
"""


def test_fault_43_a_log_that_cannot_be_written_is_no_matter(small: Home) -> None:
    disks.fill(ballast(small))
    done = subprocess.run(
        [sys.executable, "-c", TALKATIVE],
        env=small.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 1000
    assert lines[-1].endswith("ERROR line 999")


def test_fault_43_full_when_it_starts(small: Home) -> None:
    home = small
    # There is no room for the model's name, nor for the number of the process.
    home.settings('model = "fast"\n')
    (home.folder / "home" / "run" / "lock").unlink()
    disks.fill(ballast(home))
    home.start()
    assert [Path(hit.path.decode()).name for hit in home.search("red")] == ["red.jpg"]
    assert "disk_full" in codes(home)
    jpeg(home.pictures / "blue.jpg", "blue")
    until(lambda: share_of_a_core(home) < MOST_BUSY, "the end of the start")
    assert len(home.indexed()) == 1

    ballast(home).unlink()
    until(lambda: len(home.indexed()) == 2, "the new picture")
    home.settle()
    until(lambda: "disk_full" not in codes(home), "the trouble to be over")
    assert home.embedded() == 2
    assert home.stop() == 0
    # All of that is on the disk.
    status = home.start().settle()
    assert (status.index.files, home.embedded()) == (2, 2)
