"""Which files and folders below a root are left out."""

from __future__ import annotations

import pytest

from imgq.errors import SettingsError
from imgqd.library.rules import Rules

ROOT = b"/home/ada/Pictures"


@pytest.mark.parametrize(
    "name",
    [
        b".hidden",
        b".@__thumb",
        b"@eaDir",
        b"#snapshot",
        b"#recycle",
        b"@Recycle",
        b"$RECYCLE.BIN",
        b"lost+found",
        b"System Volume Information",
        b"node_modules",
        b"Lightroom Previews.lrdata",
    ],
)
def test_what_nobody_looks_for_is_left_out(name: bytes) -> None:
    assert Rules().leaves_out(ROOT, ROOT, name, True)


@pytest.mark.parametrize("name", [b"eaDir", b"recycle", b"lrdata", b"2024", b"a.b", b"\xff\xfe"])
def test_other_folders_are_not(name: bytes) -> None:
    assert not Rules().leaves_out(ROOT, ROOT, name, True)


def test_a_hidden_file_is_left_out_and_others_are_not() -> None:
    rules = Rules()
    assert rules.leaves_out(ROOT, ROOT, b".red.jpg", False)
    assert not rules.leaves_out(ROOT, ROOT, b"red.jpg", False)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (b"Mine.photoslibrary", b"resources"),
        (b"Mine.photoslibrary", b"private"),
        (b"Mine.photoslibrary", b"Thumbnails"),
        (b"shoot/CaptureOne", b"Cache"),
        (b"Mine.cocatalog", b"Cache"),
    ],
)
def test_the_derivatives_of_catalogs_are_left_out(folder: bytes, name: bytes) -> None:
    rules = Rules()
    assert rules.leaves_out(ROOT, ROOT + b"/" + folder, name, True)
    assert not rules.leaves_out(ROOT, ROOT, name, True)


@pytest.mark.parametrize("name", [b"originals", b"Masters"])
def test_the_originals_of_a_photos_library_are_not(name: bytes) -> None:
    assert not Rules().leaves_out(ROOT, ROOT + b"/Mine.photoslibrary", name, True)


def test_rules_count_below_the_root_only() -> None:
    hidden = b"/home/ada/.cache/@eaDir"
    rules = Rules()
    assert rules.reaches(hidden, hidden)
    assert rules.reaches(hidden, hidden + b"/2024/May")
    assert not rules.reaches(hidden, hidden + b"/2024/.trash/May")
    assert not rules.reaches(b"/home/ada", hidden)
    assert rules.reaches(b"/", b"/srv/photos")
    assert not rules.reaches(b"/", b"/srv/.photos")


@pytest.mark.parametrize(
    ("path", "is_folder", "left_out"),
    [
        (b"tmp/red.jpg", False, False),
        (b"red.tmp.jpg", False, True),
        (b"deep/er/red.tmp.jpg", False, True),
        (b"drafts", True, True),
        (b"2024/drafts", True, True),
        (b"drafts", False, False),
        (b"only/here", True, True),
        (b"not/only/here", True, False),
        (b"keep.tmp.jpg", False, False),
        (b"\xff\xfe.tmp.jpg", False, True),
        (b"caf\xe9.jpg", False, False),
    ],
)
def test_exclude_takes_the_patterns_of_gitignore(
    path: bytes, is_folder: bool, left_out: bool
) -> None:
    rules = Rules(["*.tmp.jpg", "drafts/", "/only/here", "!keep.tmp.jpg"])
    folder, _, name = (ROOT + b"/" + path).rpartition(b"/")
    assert rules.leaves_out(ROOT, folder, name, is_folder) is left_out


def test_patterns_hold_under_a_root_that_is_the_file_system() -> None:
    rules = Rules(["/drafts/"])
    assert rules.leaves_out(b"/", b"/", b"drafts", True)
    assert not rules.leaves_out(b"/", b"/srv", b"drafts", True)


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SettingsError, match="exclude"):
        Rules(["!"])


def test_imgqs_own_folders_are_never_looked_at() -> None:
    rules = Rules(own=["/home/ada/Pictures/imgq/index"])
    assert rules.leaves_out(ROOT, ROOT + b"/imgq", b"index", True)
    assert not rules.leaves_out(ROOT, ROOT + b"/imgq", b"index", False)
    assert not rules.reaches(ROOT, ROOT + b"/imgq/index")
    assert not rules.reaches(ROOT, ROOT + b"/imgq/index/deeper")
    assert rules.reaches(ROOT, ROOT + b"/imgq/index-of-birds")
