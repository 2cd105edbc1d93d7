"""Disks that are plugged in and pulled out: files with a file system in them, mounted by root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mounting import disks_plugged

PATIENCE_S = 20.0
# Megabytes; the least that mkfs makes a file system of.
_LEAST = {"ext4": 16, "xfs": 320, "btrfs": 128}


@dataclass(slots=True)
class Disk:
    """A file system in a file. device: by which it was mounted last."""

    image: Path
    kind: str
    device: str = ""

    def plug(self, place: Path) -> None:
        """Mounts it, by another device number than before."""
        before, self.device = self.device, _said("losetup", "--find", "--show", str(self.image))
        _free(before)
        _run("mount", "-t", self.kind, self.device, str(place))

    def free(self) -> None:
        _free(self.device)
        self.device = ""


@contextmanager
def disk(folder: Path, kind: str, *options: str) -> Iterator[Disk]:
    """Skips the test where there can be no such disk."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    image = folder / f"{len(list(folder.iterdir()))}.{kind}"
    with open(image, "wb") as file:
        file.truncate(_LEAST[kind] << 20)
    _run(f"mkfs.{kind}", "-q", *options, str(image))
    made = Disk(image, kind)
    with disks_plugged():
        try:
            yield made
        finally:
            made.free()


@contextmanager
def point(folder: Path) -> Iterator[Path]:
    """A folder to mount at; whatever is mounted there at the end is unmounted."""
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        while _is_mounted(folder):
            rip(folder)


@contextmanager
def folding(folder: Path) -> Iterator[Path]:
    """A folder in which names that differ in case alone are one. Skips where there can be none."""
    with disk(folder, "ext4", "-O", "casefold") as made, point(folder / "folding") as place:
        try:
            made.plug(place)
        except subprocess.CalledProcessError:
            pytest.skip("this kernel has no file system that folds the case of names")
        (place / "pictures").mkdir()
        _run("chattr", "+F", str(place / "pictures"))
        yield place / "pictures"


def mount(*words: object) -> None:
    """Skips where nothing may be mounted."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    _run("mount", *map(str, words))


def pull(place: Path) -> None:
    """Unmounts; who reads there at the moment is waited for."""
    end = time.monotonic() + PATIENCE_S
    while (
        done := subprocess.run(["umount", str(place)], capture_output=True, text=True)
    ).returncode:
        assert time.monotonic() < end, done.stderr
        time.sleep(0.05)


def rip(place: Path) -> None:
    """Takes the disk away from under whoever reads there."""
    _run("umount", "--lazy", str(place))


def _is_mounted(folder: Path) -> bool:
    # Not os.path.ismount, to which a folder mounted at another place of the same disk is none.
    return subprocess.run(["mountpoint", "-q", str(folder)], check=False).returncode == 0


def _free(device: str) -> None:
    if device:
        _run("losetup", "--detach", device)


def _said(*words: str) -> str:
    return _run(*words).stdout.strip()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True)
