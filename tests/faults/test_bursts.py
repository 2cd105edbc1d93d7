"""More files at once than any watcher tells of."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ground
import oracle
import tiny
from conftest import Home, until
from full_size import FULL, count, patience

FOLDERS = count(500, 10)
IN_EACH = 100

SOON_S = 10.0

pytestmark = pytest.mark.timeout(3000 if FULL else 180)


@pytest.fixture
def memory() -> Iterator[Path]:
    with ground.scratch() as folder:
        yield folder


def known(home: Home) -> int:
    """How many files the index knows of, indexed or not."""
    index = home.json("status")["index"]
    return int(index["files"] + index["pending"] + index["failed"] + index["ignored"])


def fill(folders: list[Path], first: int = 0) -> int:
    """As fast as files can be made, IN_EACH in each folder; how many there are."""
    pictures = [tiny.png(first + number) for number in range(len(folders) * IN_EACH)]
    for number, picture in enumerate(pictures):
        folder = folders[number // IN_EACH]
        descriptor = os.open(f"{folder}/{number}.png", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, picture)
        os.close(descriptor)
    return len(pictures)


def made(root: Path) -> list[Path]:
    folders = [root / f"{number // 25}" / f"{number}" for number in range(FOLDERS)]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def test_fault_01_a_burst_into_folders_that_are_there(home: Home, memory: Path) -> None:
    folders = made(memory)
    home.watch(memory)
    oracle.check(home, memory)
    files = fill(folders)
    until(lambda: known(home) == files, f"to know {files} files", SOON_S)
    oracle.check(home, memory, patience=patience(60))
    assert home.embedded() == files


def test_fault_02_a_burst_into_folders_that_are_new(home: Home, memory: Path) -> None:
    home.watch(memory)
    oracle.check(home, memory)
    files = fill(made(memory / "new"))
    until(lambda: known(home) == files, f"to know {files} files", SOON_S)
    oracle.check(home, memory, patience=patience(60))
    assert home.embedded() == files


def untar(source: Path, root: Path) -> list[str]:
    with tarfile.open(source / "all.tar", "w") as archive:
        archive.add(source / "tree", "tree")
    return ["tar", "-x", "-f", str(source / "all.tar"), "-C", str(root)]


def copy(source: Path, root: Path) -> list[str]:
    return ["cp", "-r", str(source / "tree"), str(root)]


def clone(source: Path, root: Path) -> list[str]:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-C", str(source / "tree"), *words], check=True)
    return ["git", "clone", "-q", str(source / "tree"), str(root / "tree")]


def sync(source: Path, root: Path) -> list[str]:
    return ["rsync", "-a", str(source / "tree"), str(root)]


def unzip(source: Path, root: Path) -> list[str]:
    with zipfile.ZipFile(source / "all.zip", "w") as archive:
        for file in (source / "tree").rglob("*.png"):
            archive.write(file, file.relative_to(source))
    return ["unzip", "-q", str(source / "all.zip"), "-d", str(root)]


@pytest.mark.parametrize("command", [untar, copy, clone, sync, unzip])
def test_fault_02_programs_that_write_trees(
    home: Home, memory: Path, command: Callable[[Path, Path], list[str]]
) -> None:
    source, root = memory / "source", memory / "root"
    root.mkdir()
    home.watch(root)
    files = fill(made(source / "tree")[: count(500, 4)])
    words = command(source, root)
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    oracle.check(home, root)
    subprocess.run(words, check=True)
    oracle.check(home, root, patience=patience(60))
    assert home.embedded() == files == len(oracle.truth(root).pictures)
