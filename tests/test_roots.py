"""The watched folders, and whether they are there: a real store, real folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgq import wire
from imgq.errors import Refused
from imgqd.index import Index
from imgqd.library import mounts, reach
from imgqd.library import roots as module
from imgqd.library.roots import Roots
from imgqd.records import Indexed, Metadata, Stamp
from imgqd.search.resident import Resident
from imgqd.store import Identity, Store

PHOTO = Metadata("JPEG", 40, 30)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    store = Store.open(tmp_path / "index.db", "decoder-1")
    store.use_model("four", "four", 4)
    yield Index(store, Resident(4))
    store.close()


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"1")
    return os.fsencode(folder)


@pytest.fixture
def roots(index: Index, root: bytes) -> Roots:
    """One root, seen once with a file in it, which is in the index."""
    roots = Roots(index)
    roots.add(root)
    assert roots.check(root, False)
    show(index, root + b"/a.jpg")
    return roots


def show(index: Index, path: bytes) -> None:
    stamp = Stamp.of(os.lstat(path))
    vector = np.array([1, 0, 0, 0], np.float32)
    index.commit([Indexed(path, stamp, bytes(16), True, PHOTO, vector)])


def path(root: bytes) -> Path:
    return Path(os.fsdecode(root))


def device(index: Index, path: bytes) -> int:
    return index.store.rows(os.path.dirname(path))[os.path.basename(path)].stamp.device


def test_a_root_is_there(roots: Roots, root: bytes) -> None:
    assert roots.paths() == roots.online() == [root]
    assert roots.offline() == []
    assert roots.state(root) == "watching"
    roots.scanning.add(root)
    assert roots.state(root) == "scanning"


def test_a_root_is_remembered(roots: Roots, root: bytes, index: Index) -> None:
    assert Roots(index).paths() == [root]


@pytest.mark.parametrize("what", ["missing", "a file", "nul"])
def test_what_is_no_folder_is_refused(index: Index, tmp_path: Path, what: str) -> None:
    (tmp_path / "a file").touch()
    name = "n\0l" if what == "nul" else what
    with pytest.raises(Refused, match="cannot be watched"):
        Roots(index).add(os.fsencode(tmp_path / name))
    assert Roots(index).paths() == []


def test_no_more_are_watched_than_can_be_told(
    roots: Roots, root: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_ROOTS", 2)
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
    roots.add(os.fsencode(tmp_path / "second"))
    roots.add(root)
    with pytest.raises(Refused, match="2 folders are watched, and no more"):
        roots.add(os.fsencode(tmp_path / "third"))
    assert len(roots.named()) == 2


def test_a_missing_root_is_offline_and_keeps_its_files(
    roots: Roots, root: bytes, index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    path(root).rename(path(root).with_name("away"))
    for _ in range(3):
        assert not roots.check(root, False)
    assert roots.state(root) == "offline"
    assert index.store.counts().offline == 1
    assert len(caplog.records) == 1
    path(root).with_name("away").rename(path(root))
    assert roots.check(root, False)
    assert (roots.state(root), index.store.counts().files) == ("watching", 1)


def test_a_missing_root_is_offline_even_where_deletions_were_seen(
    roots: Roots, root: bytes
) -> None:
    path(root).rename(path(root).with_name("away"))
    assert not roots.check(root, True)


def test_a_root_that_is_empty_unseen_is_offline(roots: Roots, root: bytes, index: Index) -> None:
    (path(root) / "a.jpg").unlink()
    assert not roots.check(root, False)
    assert index.store.counts().offline == 1
    (path(root) / ".anything").touch()
    assert roots.check(root, False)


def test_a_root_whose_last_file_was_seen_to_go_is_empty(roots: Roots, root: bytes) -> None:
    (path(root) / "a.jpg").unlink()
    assert roots.check(root, True)
    assert roots.check(root, False)


def test_a_root_that_was_always_empty_is_there(index: Index, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "empty")
    path(root).mkdir()
    roots = Roots(index)
    roots.add(root)
    assert roots.check(root, False)
    assert roots.check(root, False)


def test_a_root_that_may_not_be_read_is_denied(
    roots: Roots, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(reach, "folder", refuse)
        assert not roots.check(root, False)
    assert roots.state(root) == "denied"
    assert roots.offline() == [root]
    assert roots.check(root, False)
    assert roots.state(root) == "watching"


def test_another_file_system_at_its_place_is_not_the_root(
    roots: Roots, root: bytes, index: Index
) -> None:
    """The roots of two disks often have the same inode, and here even the same files."""
    other = remembered(index, root, fsid="another", device=99)
    again = Roots(index)
    assert not again.check(root, False)
    assert again.reason(root) == "another file system lies at its place"
    assert index.store.roots()[0].identity == other
    again.adopt(root)
    assert again.check(root, False)


def remembered(index: Index, root: bytes, **changes: Any) -> Identity:
    """Has the store remember another root than the one that is there."""
    known = next(each for each in index.store.roots() if each.path == root)
    other = replace(known.identity, **changes)
    index.store.set_root(root, identity=other)
    return other


def test_a_folder_made_anew_is_the_root(roots: Roots, root: bytes, index: Index) -> None:
    os.rename(root, root + b"-away")
    path(root).mkdir()
    (path(root) / "b.jpg").touch()
    assert roots.check(root, False)
    assert index.store.roots()[0].identity.inode == os.stat(root).st_ino


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks that do not say which one they are."""
    monkeypatch.setattr(mounts, "kind", lambda _: "vfat")


@pytest.mark.usefixtures("unnamed")
def test_a_disk_under_another_number_is_the_same_disk(
    roots: Roots, root: bytes, index: Index
) -> None:
    remembered(index, root, device=99, fsid="99")
    assert device(index, root + b"/a.jpg") == 99
    assert Roots(index).check(root, False)
    assert device(index, root + b"/a.jpg") == os.stat(root).st_dev


@pytest.mark.usefixtures("unnamed")
def test_another_disk_under_another_number_is_known_by_its_files(
    roots: Roots, root: bytes, index: Index
) -> None:
    (path(root) / "b.jpg").write_bytes(b"2")
    show(index, root + b"/b.jpg")
    for name in ("a.jpg", "b.jpg"):
        (path(root) / name).write_bytes(b"something else")
    remembered(index, root, device=99, fsid="99")
    again = Roots(index)
    assert not again.check(root, False)
    # One that was away is not asked again for each heartbeat, and nothing was forgotten.
    assert not again.check(root, False)
    assert index.store.counts().offline == 2


@pytest.mark.usefixtures("unnamed")
def test_a_disk_that_was_changed_elsewhere_is_known_by_what_is_left(
    roots: Roots, root: bytes, index: Index
) -> None:
    for number in range(4):
        (path(root) / f"{number}.jpg").write_bytes(b"1")
        show(index, root + b"/%d.jpg" % number)
    (path(root) / "0.jpg").unlink()
    (path(root) / "1.jpg").write_bytes(b"another")
    remembered(index, root, device=99, fsid="99")
    assert Roots(index).check(root, False)


def test_a_disk_of_another_kind_is_another_disk(
    roots: Roots, root: bytes, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "kind", lambda _: "vfat")
    remembered(index, root, fsid="99", kind="exfat")
    assert not Roots(index).check(root, False)


def test_a_root_that_is_a_link_is_what_it_leads_to(index: Index, root: bytes) -> None:
    link = root + b"-link"
    os.symlink(root, link)
    roots = Roots(index)
    roots.add(link)
    assert roots.check(link, False)
    os.unlink(link)
    assert not roots.check(link, False)


def test_a_path_belongs_to_the_deepest_root(roots: Roots, root: bytes) -> None:
    inner = root + b"/inner"
    path(inner).mkdir()
    roots.add(inner)
    assert roots.of(inner + b"/a.jpg") == inner
    assert roots.of(root + b"/a.jpg") == root
    assert roots.of(b"/elsewhere") is None


def test_a_removed_root_can_be_found_no_longer(roots: Roots, root: bytes, index: Index) -> None:
    assert len(index.resident) == 1
    roots.remove(root)
    assert (roots.paths(), len(index.resident)) == ([], 0)
    assert not roots.check(root, False)
    assert roots.state(root) == "offline"
    with pytest.raises(Refused, match="not watched"):
        roots.remove(root)


@pytest.mark.parametrize("call", ["open", "fstat", "fstatvfs", "scandir"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_root_that_goes_between_two_looks_is_offline(
    roots: Roots, root: bytes, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    left = after
    real = getattr(os, call)

    def vanishing(*words: Any, **options: Any) -> object:
        nonlocal left
        if isinstance(words[0], str):
            # The store's own files are where they were.
            return real(*words, **options)
        left -= 1
        if left < 0:
            raise FileNotFoundError(2, "No such file or directory")
        return real(*words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, call, vanishing)
        there = roots.check(root, False)
    assert roots.state(root) == ("watching" if there else "offline")


def test_a_root_that_is_removed_amid_a_look_is_no_matter(
    roots: Roots, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def removing(where: int) -> object:
        patch.undo()
        roots.remove(root)
        return real(where)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "scandir", removing)
        roots.check(root, False)
    assert roots.paths() == []


@pytest.mark.parametrize("folder", ["/proc", "/sys", "/dev/pts"])
def test_the_kernels_own_words_are_no_pictures(index: Index, folder: str) -> None:
    if not mounts.is_pseudo(mounts.kind(os.fsencode(folder))):
        pytest.skip(f"{folder} is not what it is elsewhere")
    with pytest.raises(Refused, match="holds no pictures"):
        Roots(index).add(os.fsencode(folder))


def test_a_person_says_that_an_empty_root_is_empty(roots: Roots, root: bytes, index: Index) -> None:
    (path(root) / "a.jpg").unlink()
    assert not roots.check(root, False)
    roots.adopt(root)
    assert roots.check(root, False)
    assert roots.state(root) == "watching"


def test_a_look_that_was_under_way_takes_no_word_back(
    roots: Roots, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon looks at it every two seconds, whatever a person does."""
    (path(root) / "a.jpg").unlink()
    assert not roots.check(root, False)
    real = module.glance

    def glance(path: bytes) -> Any:
        seen = real(path)
        with monkeypatch.context() as patch:
            patch.setattr(module, "glance", real)
            roots.adopt(path)
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(module, "glance", glance)
        roots.check(root, False)
    assert roots.online() == [root]
    assert roots.check(root, False)


def test_only_a_root_that_is_there_can_be_taken_as_it_is(roots: Roots, root: bytes) -> None:
    with pytest.raises(Refused, match="is not watched"):
        roots.adopt(root + b"/inner")
    path(root).rename(path(root).with_name("away"))
    with pytest.raises(Refused, match="cannot be watched"):
        roots.adopt(root)


class TestMounts:
    """A file system mounted below a root; that it is one is only claimed here."""

    @pytest.fixture
    def disk(self, roots: Roots, root: bytes) -> bytes:
        disk = root + b"/disk"
        path(disk).mkdir()
        (path(disk) / "c.jpg").touch()
        assert roots.add_mount(disk)
        assert roots.check(disk, False)
        return disk

    def test_it_is_a_part_of_its_root(self, roots: Roots, root: bytes, disk: bytes) -> None:
        assert (roots.named(), roots.paths()) == ([root], [root, disk])
        assert roots.parts(root) == [root, disk]
        assert roots.of(disk + b"/c.jpg") == disk
        with pytest.raises(Refused, match="not watched"):
            roots.remove(disk)

    def test_its_files_stay_when_it_goes(
        self, roots: Roots, root: bytes, disk: bytes, index: Index
    ) -> None:
        show(index, disk + b"/c.jpg")
        path(disk).rename(path(root).with_name("away"))
        path(disk).mkdir()
        (path(disk) / "below the mount point.jpg").touch()
        assert not roots.check(disk, True)
        assert index.store.counts().offline == 1
        assert roots.state(root) == "watching"

    def test_a_person_says_that_nothing_is_mounted_there_any_more(
        self, roots: Roots, root: bytes, disk: bytes
    ) -> None:
        remembered(roots._index, disk, inode=1, device=99)
        roots.read()
        assert not roots.check(disk, False)
        roots.adopt(disk)
        assert roots.paths() == [root]


def test_a_path_that_leads_out_of_its_root(roots: Roots, root: bytes) -> None:
    (path(root) / "link").symlink_to("/")
    assert roots.leads_elsewhere(root + b"/link/tmp/a.jpg")
    assert not roots.leads_elsewhere(root + b"/link")
    assert not roots.leads_elsewhere(root + b"/a.jpg")
    assert not roots.leads_elsewhere(b"/elsewhere/a.jpg")
