"""Small file systems of their own, for what only a full or a read-only disk shows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _mount(*words: str) -> None:
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", os.fspath(folder)], check=True)


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", os.fspath(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder, of which nothing can be written: what root meets, who may do anything else."""
    _mount("--bind", os.fspath(folder), os.fspath(folder))
    try:
        _mount("-o", "remount,bind,ro", os.fspath(folder))
        yield folder
    finally:
        _unmount(folder)


def fill(file: Path) -> None:
    """Takes all the space that is left."""
    with open(file, "ab", buffering=0) as writing:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while writing.write(bytes(size)) == size:
                    continue
