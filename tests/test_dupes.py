"""`imgq dupes`: which files show the same picture, which to keep, and which are left over."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import PATIENCE_S, Home, watching
from pictures import jpeg, painted, png, write

LARGE, SMALL = (640, 480), (320, 240)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with watching(tmp_path_factory.mktemp("dupes"), fill) as home:
        yield home


def fill(folder: Path) -> None:
    """One original with copies of every kind, a pair of copies alone, and others that are none."""
    original = png(folder / "original.png", 1, LARGE)
    for name in ("copy of original.png", "sub/original.png"):
        same(original, folder / name)
    write(folder / "again.tif", painted(1, LARGE), format="TIFF")
    png(folder / "turned.png", 1, LARGE, orientation=6)
    jpeg(folder / "worse.jpg", 1, LARGE, quality=50)
    same(folder / "worse.jpg", folder / "worse again.jpg")
    write(folder / "small.webp", painted(1, LARGE).resize(SMALL), format="WEBP", quality=80)
    jpeg(folder / "lone.jpg", 2, SMALL)
    same(folder / "lone.jpg", folder / "a name that is\nlong.jpg")
    os.link(folder / "lone.jpg", folder / "linked.jpg")
    write(folder / "cut.jpg", painted(1, LARGE).crop((60, 45, 600, 450)), format="JPEG")
    mirrored = painted(1, LARGE).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    write(folder / "mirrored.jpg", mirrored, format="JPEG")
    for seed in range(10, 30):
        jpeg(folder / "others" / f"{seed}.jpg", seed, SMALL)
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    os.utime(original, (1_600_000_000, 1_600_000_000))


def same(one: Path, other: Path) -> None:
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(one.read_bytes())


def groups(home: Home, *words: str) -> dict[str, list[tuple[str, set[str]]]]:
    """By class: the keeper, and the extras."""
    found: dict[str, list[tuple[str, set[str]]]] = {}
    for group in home.json("dupes", *words):
        extras = {name(home, extra) for extra in group["extras"]}
        found.setdefault(group["class"], []).append((name(home, group["keeper"]), extras))
    return found


def name(home: Home, file: dict[str, Any]) -> str:
    return os.path.relpath(file["path"], home.pictures)


def test_each_class_has_its_groups_and_each_group_its_keeper(home: Home) -> None:
    found = groups(home)
    assert sorted(found["bytes"]) == sorted([
        ("original.png", {"copy of original.png", "sub/original.png"}),
        ("worse again.jpg", {"worse.jpg"}),
        ("a name that is\nlong.jpg", {"lone.jpg"}),
    ])  # fmt: skip
    ((keeper, extras),) = found["pixels"]
    assert {keeper, *extras} == {"original.png", "again.tif", "turned.png"}
    # The one with most bytes.
    assert keeper == "again.tif"
    assert found["near"] == [("again.tif", {"worse again.jpg", "small.webp"})]


def test_extras_are_each_told_once_and_are_all_that_is_not_needed(home: Home) -> None:
    done = home.imgq("dupes", "-0")
    extras = done.stdout.split(b"\0")[:-1]
    assert (done.returncode, done.stderr, len(extras)) == (0, b"", len(set(extras)))
    told = {file for kind in groups(home).values() for _, files in kind for file in files}
    assert {os.path.relpath(os.fsdecode(path), home.pictures) for path in extras} == told
    piped = subprocess.run(
        ["xargs", "-0", "ls", "-d"], input=done.stdout, capture_output=True, timeout=PATIENCE_S
    )
    assert piped.returncode == 0
    assert all(os.path.exists(path) for path in extras)


def test_lines_are_for_people_and_escape_nothing_in_a_pipe(home: Home) -> None:
    said = home.imgq("dupes", "--near", "1").stdout
    assert b"keep\tbytes\t" + os.fsencode(home.pictures / "original.png") + b"\n" in said
    assert b"extra\tpixels\t" in said
    assert b"\tnear\t" not in said
    assert said.count(b"\n\n") == 3


def test_an_extra_says_how_alike_it_is(home: Home) -> None:
    (near,) = (group for group in home.json("dupes") if group["class"] == "near")
    assert near["keeper"]["width"] == LARGE[0]
    alike = {name(home, extra): extra["alike"] for extra in near["extras"]}
    assert all(0.99 <= each <= 1 for each in alike.values())
    assert "near" not in groups(home, "--near", "0.999999")


def test_only_what_lies_under_a_folder_counts(home: Home) -> None:
    assert groups(home, "--in", str(home.pictures / "sub")) == {}
    done = home.imgq("dupes", "--in", str(home.pictures / "others"), "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert home.imgq("dupes", "--in", "/nowhere").returncode == 2


def test_what_is_gone_is_no_copy_any_more(home: Home) -> None:
    path = home.pictures / "lone.jpg"
    for each in (path, home.pictures / "linked.jpg"):
        each.unlink()
    home.settle()
    assert "lone.jpg" not in str(groups(home)["bytes"])


@pytest.mark.parametrize("near", ["0", "1.1", "x", "-1"])
def test_what_is_no_nearness_is_said(home: Home, near: str) -> None:
    done = home.imgq("dupes", "--near", near)
    assert (done.returncode, done.stdout) == (2, b"")
