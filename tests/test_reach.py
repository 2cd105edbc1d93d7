"""Paths of any length."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgqd.library import reach


@pytest.fixture
def deep(tmp_path: Path) -> bytes:
    """The path of a file, of more than three times what the system takes."""
    path, name = os.fsencode(tmp_path), b"d" * 200
    above = os.open(path, os.O_RDONLY)
    for _ in range(64):
        os.mkdir(name, dir_fd=above)
        below = os.open(name, os.O_RDONLY, dir_fd=above)
        os.close(above)
        path, above = path + b"/" + name, below
    os.close(os.open(b"x.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)
    return path + b"/x.jpg"


def test_the_system_refuses_such_a_path(deep: bytes) -> None:
    assert len(deep) > 3 * reach.LONGEST
    with pytest.raises(OSError, match="too long"):
        os.stat(deep)


def test_a_deep_file_is_opened_and_looked_at(deep: bytes) -> None:
    descriptor = reach.opened(deep, os.O_RDONLY)
    assert os.fstat(descriptor).st_ino == reach.status(deep).st_ino
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_deep_folder_is_listed(deep: bytes) -> None:
    with reach.folder(os.path.dirname(deep)) as descriptor:
        assert os.listdir(descriptor) == ["x.jpg"]


def test_a_folder_is_not_entered_whose_files_could_not_be_told_of(
    deep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "LONGEST_FOLDER", len(os.path.dirname(deep)) - 1)
    with pytest.raises(OSError, match="too long"), reach.folder(os.path.dirname(deep)):
        pass
    with reach.folder(os.path.dirname(os.path.dirname(deep))) as descriptor:
        assert len(os.listdir(descriptor)) == 1


def test_what_is_not_there_says_so_and_leaves_nothing_open(deep: bytes) -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            reach.status(deep + b"y")
        with pytest.raises(FileNotFoundError):
            reach.opened(deep.replace(b"d" * 200, b"e" * 200, 40), os.O_RDONLY)
    assert before is None or len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("spare", [-1, 0, 1, 2])
def test_paths_about_the_limit(tmp_path: Path, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.fsencode(tmp_path)
    monkeypatch.chdir(tmp_path)
    while len(path) < reach.LONGEST + spare:
        name = b"n" * max(min(200, reach.LONGEST + spare - len(path) - 1), 1)
        os.mkdir(name)
        os.chdir(name)
        path += b"/" + name
    assert reach.status(path).st_ino == os.stat(".").st_ino


def test_a_link_is_followed_when_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    link = os.fsencode(tmp_path / "link")
    assert reach.status(link) != reach.status(link, follow=True)
    assert reach.status(link, follow=True).st_ino == (tmp_path / "file").stat().st_ino
