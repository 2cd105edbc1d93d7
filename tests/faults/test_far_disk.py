"""A root on a file system whose server hangs, and a daemon that goes on without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oracle
import tiny
from conftest import Home, until
from fuse_disk import FuseDisk, fuse_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FuseDisk]:
    """Its files lie in `tmp_path / "source"`."""
    with fuse_disk(tmp_path / "source", tmp_path / "far") as disk:
        if disk is None:
            pytest.skip("only root mounts a file system of its own, where there is /dev/fuse")
        yield disk


def put(folder: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        (folder / f"{number}.png").write_bytes(tiny.png(number))


def test_fault_34_a_disk_that_hangs_is_away_and_nobody_waits_for_it(
    new_home: Callable[..., Home], disk: FuseDisk, tmp_path: Path
) -> None:
    home = new_home()
    home.settings("decoders = 1\n")
    home.plant("short_deadlines")
    home.start().watch()
    put(home.pictures, 0, 10)
    put(tmp_path / "source", 10, 10)
    home.watch(disk.folder)
    oracle.check(home, home.pictures, disk.folder)
    # When it hangs, some of these have been read, and the others wait for the only decoder.
    put(tmp_path / "source", 20, 150)
    home.watch(disk.folder)
    until(lambda: home.status().index.files > 20, "some of the new ones")
    disk.hang()
    assert home.status().index.pending
    put(home.pictures, 1000, 10)
    near = set(home.pictures.iterdir())
    until(lambda: near <= home.indexed().keys(), "what is near to be indexed")
    assert home.search("red")
    until(lambda: home.status().index.offline >= 10, "the disk to be taken for away")
    assert home.status().index.files == len(near)
    disk.go_on()
    until(lambda: not home.status().index.offline, "the disk to be back")
    home.settle()
    # The one that was being read when it hung is tried again in half a minute, or when somebody says so.
    assert len(home.json("errors")) <= 1
    home.imgq("errors", "--retry")
    expected = oracle.check(home, home.pictures, disk.folder)
    assert not oracle.misembedded(home, expected)
    assert home.embedded() == 180
