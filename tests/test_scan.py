"""What a folder holds, held against the disk."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imgqd.library.rules import Rules
from imgqd.library.scan import Look, look, root_of, under
from imgqd.records import Stamp


def looked(folder: Path, *, follow: bool = False, exclude: tuple[str, ...] = ()) -> Look:
    path = os.fsencode(folder)
    return look(path, path, Rules(exclude), follow)


def test_regular_files_and_folders_are_listed_with_their_stamps(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"123")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "x.jpg").mkdir()
    found = looked(tmp_path)
    assert found.files == {
        name: Stamp.of(os.lstat(tmp_path / os.fsdecode(name))) for name in (b"a.jpg", b"empty.jpg")
    }
    assert found.files[b"a.jpg"].size == 3
    assert found.folders == (os.fsencode(tmp_path / "x.jpg"),)


def test_what_is_neither_file_nor_folder_is_not_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "link.jpg").symlink_to("/etc/hostname")
    (tmp_path / "tree").symlink_to("/etc")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "socket.jpg"))
        found = looked(tmp_path)
    assert (found.files, found.folders, found.empty) == ({}, (), False)


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"new\nline.jpg", b"\x1b[31mred.jpg", b"n" * 251 + b".jpg", b" "]
)
def test_any_name_a_file_can_have_is_listed(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).touch()
    assert list(looked(tmp_path).files) == [name]


def test_rules_are_applied_and_empty_means_no_entry_at_all(tmp_path: Path) -> None:
    assert looked(tmp_path).empty
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.tmp").touch()
    found = looked(tmp_path, exclude=("*.tmp",))
    assert (found.files, found.folders, found.empty) == ({}, (), False)


def test_a_folder_that_is_gone_or_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        looked(tmp_path / "gone")
    with pytest.raises(NotADirectoryError):
        looked(tmp_path / "file")


def test_links_are_followed_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.jpg").write_bytes(b"1")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "link.jpg").symlink_to("../there/a.jpg")
    (folder / "tree").symlink_to("../there")
    (folder / "dangling.jpg").symlink_to("nowhere")
    found = looked(folder, follow=True)
    assert found.files == {b"link.jpg": Stamp.of(os.stat(tmp_path / "there" / "a.jpg"))}
    assert found.folders == (os.fsencode(folder / "tree"),)


def test_followed_links_make_no_loop(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "over").symlink_to("../b")
    (tmp_path / "b" / "back").symlink_to("../a")
    walked, left = [], [os.fsencode(tmp_path)]
    while left:
        walked.append(left.pop())
        left += look(walked[-1], os.fsencode(tmp_path), Rules(), True).folders
        assert len(walked) < 20
    assert os.fsencode(tmp_path / "a" / "over") in walked
    assert not any(path.endswith((b"/self", b"/up")) for path in walked)


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        (b"/a/b", b"/a/b", True),
        (b"/a/b/c", b"/a/b", True),
        (b"/a/b/c", b"/a/b/", True),
        (b"/a/bc", b"/a/b", False),
        (b"/a", b"/a/b", False),
        (b"/a", b"/", True),
    ],
)
def test_under_goes_by_whole_components(path: bytes, folder: bytes, expected: bool) -> None:
    assert under(path, folder) is expected


def test_a_path_belongs_to_the_deepest_root() -> None:
    roots = [b"/a", b"/a/b", b"/a/bc"]
    assert root_of(b"/a/b/c.jpg", roots) == b"/a/b"
    assert root_of(b"/a/bcd/c.jpg", roots) == b"/a"
    assert root_of(b"/b/c.jpg", roots) is None
