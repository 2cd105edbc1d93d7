"""What is on a disk that was pulled out is not deleted, and not embedded again when it is back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oracle
import plugs
import tiny
from conftest import Home, until
from fake_embedder import FakeTower

FILES = 5


@pytest.fixture
def place(home: Home) -> Iterator[Path]:
    """Where disks are plugged in, beside the folder that is watched."""
    with plugs.point(home.folder / "place") as place:
        yield place


def fill(folder: Path, first: int = 0) -> None:
    (folder / "below").mkdir()
    for number in range(first, first + FILES):
        name = "below" if number % 2 else ""
        (folder / name / f"{number}.png").write_bytes(tiny.png(number))


def state(home: Home, root: Path) -> str:
    (found,) = [each for each in home.json("status")["roots"] if each["path"] == str(root)]
    return str(found["state"])


def offline(home: Home, *roots: Path) -> bool:
    """Whether FILES files are kept that cannot be found now; all others are what is on the disk."""
    files = oracle.listed(home)
    there = {file["path"]: file["hash"] for file in files if not file["offline"]}
    return there == oracle.truth(*roots).pictures and len(files) - len(there) == FILES


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_fault_20_a_root_that_is_a_mount(
    home: Home, place: Path, tmp_path: Path, kind: str
) -> None:
    with plugs.disk(tmp_path, kind) as mine, plugs.disk(tmp_path, kind) as another:
        another.plug(place)
        fill(place, 1000)
        plugs.pull(place)
        mine.plug(place)
        fill(place)
        home.watch(place)
        truth = oracle.check(home, place)
        number = os.stat(place).st_dev

        plugs.pull(place)
        until(lambda: offline(home), "the files to be offline")
        assert state(home, place) == "offline"
        (place / "under the disk.png").write_bytes(tiny.png(500))
        home.imgq("wait")
        assert offline(home)

        mine.plug(place)
        assert mine.device != number
        assert oracle.agree(home, place) == truth
        assert state(home, place) == "watching"
        assert home.embedded() == FILES

        plugs.pull(place)
        another.plug(place)
        until(lambda: state(home, place) == "offline", "to notice that it is another disk")
        home.imgq("wait")
        assert len(oracle.listed(home)) == FILES
        assert offline(home)

        plugs.pull(place)
        mine.plug(place)
        assert oracle.check(home, place) == truth
        assert home.embedded() == FILES
        plugs.pull(place)


def test_fault_20_a_root_on_a_disk_that_was_away_at_the_start(
    home: Home, place: Path, tmp_path: Path
) -> None:
    with plugs.disk(tmp_path, "ext4") as disk:
        disk.plug(place)
        root = place / "pictures"
        root.mkdir()
        fill(root)
        home.watch(root)
        truth = oracle.check(home, root)
        home.stop()
        plugs.pull(place)
        home.start()
        home.imgq("wait")
        assert offline(home)
        disk.plug(place)
        assert oracle.agree(home, root) == truth
        assert home.embedded() == FILES
        home.stop()
        plugs.pull(place)


def test_fault_20_pulled_out_while_it_is_read(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    home = new_home(slow=0.3).start()
    files = 200
    with plugs.disk(tmp_path, "ext4") as disk, plugs.point(home.folder / "place") as place:
        disk.plug(place)
        for number in range(files):
            (place / f"{number}.png").write_bytes(tiny.png(number))
        home.watch(place)
        until(lambda: 20 < home.embedded() < files, "to be in the middle of it")
        plugs.rip(place)
        until(lambda: state(home, place) == "offline", "the disk to be missed")
        home.imgq("wait")
        assert home.json("errors") == []
        assert all(file["offline"] for file in oracle.listed(home))
        disk.plug(place)
        oracle.check(home, place)
        # What was read when the disk went is recorded, or read once more.
        assert home.embedded() <= files + 2 * FakeTower.batch
        plugs.pull(place)


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_fault_21_a_mount_inside_a_root(home: Home, tmp_path: Path, kind: str) -> None:
    (home.pictures / "beside.png").write_bytes(tiny.png(100))
    with plugs.point(home.pictures / "below" / "disk") as place:
        oracle.check(home, home.pictures)
        if kind == "tmpfs":
            plugs.mount("-t", "tmpfs", "none", place)
            appears_and_disappears(home, place)
            return
        with plugs.disk(tmp_path, kind) as disk:
            disk.plug(place)
            truth = appears_and_disappears(home, place)
            disk.plug(place)
            assert oracle.agree(home, home.pictures) == truth
            assert home.embedded() == 1 + FILES
            home.stop()
            plugs.pull(place)
            home.start()
            home.imgq("wait")
            assert offline(home, home.pictures)


def appears_and_disappears(home: Home, place: Path) -> oracle.Truth:
    fill(place)
    truth = oracle.agree(home, home.pictures)
    assert len(truth.pictures) == 1 + FILES
    plugs.pull(place)
    until(lambda: offline(home, home.pictures), "the files on it to be offline")
    under = place / "under.png"
    under.write_bytes(tiny.png(500))
    home.imgq("wait")
    assert os.fsencode(under) not in {file["path"] for file in oracle.listed(home)}
    under.unlink()
    home.imgq("wait")
    assert offline(home, home.pictures)
    return truth


def test_fault_22_a_folder_that_is_mounted_inside_itself(home: Home) -> None:
    (home.pictures / "real").mkdir()
    with plugs.point(home.pictures / "again") as place:
        fill(home.pictures / "real")
        oracle.check(home, home.pictures)
        plugs.mount("--bind", home.pictures / "real", place)
        truth = oracle.agree(home, home.pictures)
        assert len(truth.pictures) == 2 * FILES
        assert home.embedded() == FILES
        (place / "new.png").write_bytes(tiny.png(50))
        (home.pictures / "real" / "0.png").unlink()
        oracle.agree(home, home.pictures)
        (home.pictures / "real" / "below" / "1.png").write_bytes(tiny.png(51))
        (place / "below" / "3.png").rename(place / "moved.png")
        oracle.agree(home, home.pictures)
        oracle.check(home, home.pictures)
        assert home.embedded() == FILES + 2
