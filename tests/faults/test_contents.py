"""Bytes that change in ways which a file's name, size and time do not tell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import ground
import oracle
import tiny
from conftest import Home
from full_size import FULL, count, patience

pytestmark = pytest.mark.timeout(3000 if FULL else 180)


@pytest.fixture
def picture(home: Home) -> Path:
    """One that was indexed long ago."""
    place = home.pictures / "a.png"
    place.write_bytes(tiny.png(1))
    oracle.check(home, home.pictures)
    return place


def test_fault_03_a_burst_of_atomic_saves(home: Home) -> None:
    with ground.scratch() as memory:
        folders = [memory / f"{number}" for number in range(count(500, 5))]
        for number, folder in enumerate(folders):
            folder.mkdir()
            for name in range(100):
                (folder / f"{name}.png").write_bytes(tiny.png(number * 100 + name))
        home.watch(memory)
        files = len(oracle.check(home, memory, patience=patience(60)).pictures)
        for number, folder in enumerate(folders):
            for name in range(100):
                # What a save is called until it is whole; a picture by its bytes, hidden or not.
                beside = folder / (f".{name}.tmp", f"{name}.png.tmp", f"tmp-{name}.png")[name % 3]
                beside.write_bytes(tiny.png(10**6 + number * 100 + name))
                os.replace(beside, folder / f"{name}.png")
        assert len(oracle.check(home, memory, patience=patience(60)).pictures) == files
        assert home.embedded() == 2 * files


def put_back(path: Path, write: Callable[[Path], object]) -> None:
    """Writes, and gives the file its old time again."""
    before = os.stat(path)
    write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def overwrite(path: Path, number: int = 2) -> None:
    with open(path, "r+b") as file:
        file.write(tiny.png(number))


def dd(path: Path) -> None:
    words = ["dd", f"of={path}", "conv=notrunc", "status=none"]
    subprocess.run(words, input=tiny.png(2), check=True)


def cut(path: Path) -> None:
    os.truncate(path, os.path.getsize(path) - 10)


def map_and_write(path: Path) -> None:
    import mmap

    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = tiny.png(2)


@pytest.mark.parametrize("write", [overwrite, dd, cut, map_and_write])
@pytest.mark.parametrize("hidden", [False, True], ids=["", "time_put_back"])
def test_fault_26_changed_in_place(
    home: Home, picture: Path, write: Callable[[Path], object], hidden: bool
) -> None:
    if hidden:
        put_back(picture, write)
    else:
        write(picture)
    oracle.agree(home, home.pictures)
    oracle.check(home, home.pictures)
    assert home.embedded() == 2


def test_fault_26_changed_through_a_hard_link(home: Home, picture: Path) -> None:
    link = home.pictures / "folder" / "link.png"
    link.parent.mkdir()
    os.link(picture, link)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 1
    overwrite(link)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 2
    link.unlink()
    oracle.agree(home, home.pictures)
    assert home.embedded() == 2


def test_fault_26_changed_through_a_hard_link_that_is_gone(home: Home, picture: Path) -> None:
    """Nothing tells of a change but the name that is no more when somebody looks."""
    link = home.pictures / "folder" / "link.png"
    link.parent.mkdir()
    os.link(picture, link)
    oracle.check(home, home.pictures)
    overwrite(link)
    link.unlink()
    oracle.agree(home, home.pictures)


def test_fault_26_a_touch_embeds_nothing(home: Home, picture: Path) -> None:
    like = home.folder / "like"
    like.touch()
    os.utime(like, (1e9, 1e9))
    for words in (["touch"], ["touch", "-r", str(like)], ["chmod", "600"]):
        subprocess.run([*words, str(picture)], check=True)
        oracle.check(home, home.pictures)
    home.imgq("wait")
    assert home.embedded() == 1
    assert home.json("files")[0]["mtime"] == "2001-09-09T01:46:40Z"


def test_fault_26_a_reflink_is_a_copy(home: Home, picture: Path) -> None:
    copy = home.pictures / "copy.png"
    done = subprocess.run(["cp", "--reflink=always", str(picture), str(copy)], check=False)
    if done.returncode:
        pytest.skip("this file system makes no reflinks")
    oracle.agree(home, home.pictures)
    assert home.embedded() == 1
    overwrite(copy)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 2
