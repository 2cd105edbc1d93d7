"""What moves is known by its file, not by its name: nothing is embedded again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

import oracle
import tiny
from conftest import Home, until
from full_size import FULL, count, patience

FILES = count(50_000, 1_000)
# From the rename to the rows.
MOVED_S = 10.0

pytestmark = pytest.mark.timeout(3000 if FULL else 180)


def fill(folder: Path, files: int, first: int = 0) -> int:
    for number in range(files):
        place = folder / f"{number % 10}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(tiny.png(first + number))
    return files


def rows_under(index: Path, folder: Path) -> int:
    bounds = (os.fsencode(folder) + b"/", os.fsencode(folder) + b"0")
    query = (
        "SELECT count(*) FROM files JOIN folders ON folders.id = files.folder"
        " WHERE folders.path >= ? AND folders.path < ?"
    )
    with closing(apsw.Connection(str(index), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return int(connection.execute(query, bounds).get)


@contextmanager
def counted(index: Path, folder: Path) -> Iterator[set[int]]:
    """How many rows there were of files under the folder at each of as many looks as there is time for."""
    seen: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(rows_under(index, folder))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


def test_fault_13_a_renamed_folder_of_many_files(home: Home) -> None:
    old, new = home.pictures / "old", home.pictures / "new"
    fill(old, FILES)
    oracle.check(home, home.pictures, patience=patience(60))
    before = home.json("status")["counters"]
    with counted(home.store, new) as seen:
        old.rename(new)
        until(lambda: FILES in seen, "the rows under the new name", MOVED_S)
    assert seen == {0, FILES}, "all at once"
    oracle.check(home, home.pictures)
    after = home.json("status")["counters"]
    assert (after["decoded"], after["embedded"]) == (before["decoded"], before["embedded"])
    assert home.embedded() == FILES


def test_fault_14_renamed_twice_and_swapped_at_once(home: Home) -> None:
    a, b, c = (home.pictures / name for name in "abc")
    files = fill(a, 40) + fill(b, 30, 1000)
    oracle.check(home, home.pictures)
    a.rename(c)
    c.rename(home.pictures / "d")
    (home.pictures / "d").rename(a)
    oracle.check(home, home.pictures)
    a.rename(c)
    b.rename(a)
    c.rename(b)
    oracle.agree(home, home.pictures)
    b.rename(home.pictures / "e")
    (home.pictures / "e").rename(home.pictures / "f")
    oracle.agree(home, home.pictures)
    oracle.check(home, home.pictures)
    assert home.embedded() == files


def test_fault_14_files_that_swap_their_names(home: Home) -> None:
    fill(home.pictures, 20)
    oracle.check(home, home.pictures)
    places = sorted(home.pictures.rglob("*.png"))
    for one, other in zip(places[::2], places[1::2], strict=True):
        between = home.pictures / "between.png"
        one.rename(between)
        other.rename(one)
        between.rename(other)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 20


def test_fault_15_written_to_after_it_was_moved_out(home: Home) -> None:
    inside, outside = home.pictures / "folder", home.folder / "outside"
    fill(inside, 20)
    oracle.check(home, home.pictures)
    inside.rename(outside)
    fill(outside, 40)
    (outside / "new").mkdir()
    (outside / "new" / "a.png").write_bytes(tiny.png(500))
    oracle.agree(home, home.pictures)
    assert oracle.check(home, home.pictures).pictures == {}
    outside.rename(inside)
    assert len(oracle.check(home, home.pictures).pictures) == 41
