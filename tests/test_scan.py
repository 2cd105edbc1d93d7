"""What a folder holds, held against the disk."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgqd.library.rules import Rules
from imgqd.library.scan import leads_elsewhere, look, root_of, under
from imgqd.records import Stamp


@dataclass(frozen=True)
class Looked:
    """What a look found."""

    files: dict[bytes, Stamp]
    folders: tuple[bytes, ...]


def looked(
    folder: Path, *, root: Path | None = None, follow: bool = False, exclude: tuple[str, ...] = ()
) -> Looked:
    path = os.fsencode(folder)
    with look(path, os.fsencode(root or folder), Rules(exclude), follow) as entries:
        found = list(entries)
    assert [name for name, _ in found] == sorted(name for name, _ in found)
    return Looked(
        {name: Stamp.of(status) for name, status in found if stat.S_ISREG(status.st_mode)},
        tuple(path + b"/" + name for name, status in found if stat.S_ISDIR(status.st_mode)),
    )


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
    assert (found.files, found.folders) == ({}, ())


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"new\nline.jpg", b"\x1b[31mred.jpg", b"n" * 251 + b".jpg", b" "]
)
def test_any_name_a_file_can_have_is_listed(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).touch()
    assert list(looked(tmp_path).files) == [name]


def test_rules_are_applied(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.tmp").touch()
    found = looked(tmp_path, exclude=("*.tmp",))
    assert (found.files, found.folders) == ({}, ())


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


def test_a_folder_that_became_a_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "root").mkdir()
    link = tmp_path / "root" / "link"
    link.symlink_to("../there")
    with pytest.raises(NotADirectoryError):
        looked(link, root=tmp_path / "root")
    assert looked(link, root=link) == Looked({}, ())
    assert looked(link, root=tmp_path / "root", follow=True) == Looked({}, ())


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/b", False), ("a/link/b", True), ("a/link", True), ("a/gone/b", False), ("", False)],
)
def test_a_way_that_leads_elsewhere(tmp_path: Path, path: str, expected: bool) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(".")
    root = os.fsencode(tmp_path)
    assert leads_elsewhere(root, os.path.join(root, os.fsencode(path)).rstrip(b"/")) is expected


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
        left += looked(Path(os.fsdecode(walked[-1])), root=tmp_path, follow=True).folders
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


def test_a_raw_file_beside_its_jpeg_counts_unless_it_is_not_to(tmp_path: Path) -> None:
    names = [b"a.CR2", b"a.jpg", b"b.CR2", b"notes.txt"]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    folder = os.fsencode(tmp_path)
    for rules, left_out in ((Rules(), set()), (Rules(raw_beside_jpeg=False), {b"a.CR2"})):
        with look(folder, folder, rules) as entries:
            assert {name for name, _ in entries} == set(names) - left_out
