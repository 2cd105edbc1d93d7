"""A watched folder is itself moved, deleted, made again, or is a link that comes to lead elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import oracle
import tiny
from conftest import Home, until
from full_size import count


def fill(folder: Path, files: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + files):
        (folder / f"{number}.png").write_bytes(tiny.png(number))


def state(home: Home, root: Path) -> str:
    """The word of `imgq status` for a root."""
    (found,) = [each for each in home.json("status")["roots"] if each["path"] == str(root)]
    return str(found["state"])


def test_fault_16_deleted_and_made_again(home: Home) -> None:
    for number in range(count(20, 7)):
        fill(home.pictures / "below", 3, 10 * number)
        (home.pictures / f"top{number}.png").write_bytes(tiny.png(1000 + number))
        if number % 5 == 0:
            oracle.agree(home, home.pictures)
        shutil.rmtree(home.pictures)
        if number % 3 == 0:
            until(lambda: state(home, home.pictures) == "offline", "to miss the root")
        home.pictures.mkdir()
    fill(home.pictures / "last", 5, 5000)
    oracle.agree(home, home.pictures, within=60.0)
    oracle.check(home, home.pictures)


def test_fault_16_away_is_not_deleted(home: Home) -> None:
    fill(home.pictures / "below", 5)
    oracle.check(home, home.pictures)
    away = home.folder / "away"
    home.pictures.rename(away)
    until(lambda: state(home, home.pictures) == "offline", "to miss the root")
    home.pictures.mkdir()
    home.imgq("wait")
    assert state(home, home.pictures) == "offline", "empty, and nobody saw a deletion"
    assert [file["offline"] for file in oracle.listed(home)] == [True] * 5
    home.pictures.rmdir()
    away.rename(home.pictures)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 5


def test_fault_17_another_folder_takes_a_roots_name(home: Home) -> None:
    fill(home.pictures / "below", 5)
    oracle.check(home, home.pictures)
    away = home.folder / "away"
    home.pictures.rename(away)
    fill(home.pictures / "below", 2, 100)
    fill(away / "below", 10)
    fill(away / "new", 10, 50)
    (away / "below" / "101.png").write_bytes(tiny.png(7))
    oracle.agree(home, home.pictures)
    for file in (away / "below").iterdir():
        file.unlink()
    oracle.check(home, home.pictures)


@pytest.fixture
def link(home: Home) -> Path:
    """A root that is a link to a folder."""
    fill(home.folder / "one" / "below", 3)
    link = home.folder / "link"
    link.symlink_to("one")
    home.watch(link)
    oracle.check(home, link)
    return link


def test_fault_18_files_right_in_a_root_that_is_a_link(home: Home, link: Path) -> None:
    (home.folder / "one" / "a.png").write_bytes(tiny.png(100))
    oracle.agree(home, link)
    (link / "b.png").write_bytes(tiny.png(101))
    (link / "a.png").unlink()
    oracle.agree(home, link)


def test_fault_18_a_link_that_comes_to_lead_elsewhere(home: Home, link: Path) -> None:
    fill(home.folder / "two" / "below", 4, 200)
    fill(home.folder / "two", 2, 300)
    beside = home.folder / "beside"
    beside.symlink_to("two")
    os.replace(beside, link)
    oracle.agree(home, link)
    (home.folder / "two" / "below" / "new.png").write_bytes(tiny.png(400))
    fill(home.folder / "one" / "below", 9)
    oracle.agree(home, link)
    oracle.check(home, link)


def strange_links(folder: Path, outside: Path) -> None:
    fill(folder / "a" / "b", 3)
    (folder / "a" / "b" / "up").symlink_to("..")
    (folder / "a" / "top").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "gone.png").symlink_to("nowhere.png")
    fill(outside, 2, 50)
    (folder / "outside").symlink_to(outside)
    (folder / "outside.png").symlink_to(outside / "50.png")


def test_fault_19_links_of_every_kind(home: Home) -> None:
    strange_links(home.pictures, home.folder / "outside")
    (home.pictures / "proc").symlink_to("/proc")
    large = home.folder / "large.png"
    large.touch()
    os.truncate(large, 10**12)
    (home.pictures / "large.png").symlink_to(large)
    truth = oracle.check(home, home.pictures)
    assert len(truth.pictures) == 3


def test_fault_19_links_that_are_followed(home: Home) -> None:
    strange_links(home.pictures, home.folder / "outside")
    home.settings("follow_symlinks = true\n")
    home.stop()
    home.start()
    home.imgq("wait")
    below, outside = home.pictures / "a" / "b", home.pictures / "outside"
    assert {file["path"] for file in oracle.listed(home)} == {
        *(os.fsencode(below / f"{number}.png") for number in range(3)),
        *(os.fsencode(outside / f"{number}.png") for number in (50, 51)),
        os.fsencode(home.pictures / "outside.png"),
    }
    assert home.embedded() == 5


def test_fault_19_a_folder_that_becomes_a_link_out(home: Home) -> None:
    """Hints and reads by the old names lead out of the root then."""
    fill(home.folder / "outside" / "below", 5, 100)
    for number in range(10):
        fill(home.pictures / "in" / "below", 5, 10 * number)
        shutil.rmtree(home.pictures / "in")
        (home.pictures / "in").symlink_to(home.folder / "outside")
        if number % 4 == 0:
            oracle.agree(home, home.pictures)
        (home.pictures / "in").unlink()
    (home.pictures / "in").symlink_to(home.folder / "outside")
    assert oracle.check(home, home.pictures).pictures == {}
