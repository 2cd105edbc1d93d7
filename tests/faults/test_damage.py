"""The index is damaged, by whatever: it comes back by itself, with its folders, and is right again."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
import xxhash

from batches import shell
from conftest import Home, until
from pictures import jpeg

PICTURES = 30
PAGE = 8192

Damage = Callable[[Path], None]


def garble_the_header(store: Path) -> None:
    overwrite(store, 0, random.Random(1).randbytes(100))


def garble_the_first_page(store: Path) -> None:
    overwrite(store, 100, random.Random(2).randbytes(PAGE - 100))


def cut_in_half(store: Path) -> None:
    os.truncate(store, store.stat().st_size // 2)


def empty(store: Path) -> None:
    os.truncate(store, 0)


def write_a_letter(store: Path) -> None:
    store.write_text("Dear Sir or Madam,\n" * 1000)


def delete(store: Path) -> None:
    store.unlink()


def replace_by_another_database(store: Path) -> None:
    other = store.with_name("other.db")
    connection = apsw.Connection(os.fspath(other))
    connection.execute("CREATE TABLE letters(text)")
    connection.close()
    other.rename(store)


def delete_the_log(store: Path) -> None:
    log_of(store).unlink()


def put_another_log(store: Path) -> None:
    log_of(store).write_bytes(random.Random(3).randbytes(20_000))


def overwrite(store: Path, where: int, data: bytes) -> None:
    with open(store, "r+b") as file:
        file.seek(where)
        file.write(data)


def log_of(store: Path) -> Path:
    return store.with_name(f"{store.name}-wal")


def checkpoint(store: Path) -> None:
    """Has the file alone hold everything: what lies in the log is read from there."""
    connection = apsw.Connection(os.fspath(store))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    assert not log_of(store).stat().st_size


STOPPED = [
    garble_the_header,
    garble_the_first_page,
    cut_in_half,
    empty,
    write_a_letter,
    delete,
    replace_by_another_database,
    put_another_log,
]
RUNNING = [
    garble_the_header,
    cut_in_half,
    empty,
    write_a_letter,
    delete,
    replace_by_another_database,
    delete_the_log,
]


@pytest.fixture
def full(new_home: Callable[..., Home]) -> Iterator[Home]:
    """A home whose index is on disk, whole; nothing runs."""
    home = new_home()
    for number in range(PICTURES):
        jpeg(home.pictures / f"{number % 3}" / f"{number}.jpg", number)
    home.start().watch()
    home.settle()
    home.stop()
    yield home
    assert "Traceback" not in home.log
    assert "this is a bug" not in home.log


def truth(home: Home) -> dict[Path, str]:
    return {
        path: f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}"
        for path in home.pictures.rglob("*.jpg")
    }


def require_right(home: Home) -> None:
    """The folders are known, and what can be found is what is there."""
    assert [root["path"] for root in home.json("roots")] == [str(home.pictures)]
    home.settle()
    assert home.indexed() == truth(home)
    assert len(home.search("red", top=1000)) == len(truth(home))


@pytest.mark.parametrize("damage", STOPPED, ids=lambda damage: damage.__name__)
def test_fault_45_damaged_while_nothing_runs(full: Home, damage: Damage) -> None:
    damage(full.store)
    (full.pictures / "0" / "0.jpg").unlink()
    jpeg(full.pictures / "new.jpg", "red")
    home = full.start()
    require_right(home)
    assert home.stop() == 0
    # And that is that.
    home.start()
    require_right(home)
    assert not home.troubles("rebuilt", "damaged", "store")


@pytest.mark.parametrize("damage", RUNNING, ids=lambda damage: damage.__name__)
def test_fault_45_damaged_while_it_runs(full: Home, damage: Damage) -> None:
    home = full.start()
    home.settle()
    jpeg(home.pictures / "new.jpg", "red")
    home.settle()
    checkpoint(home.store)
    damage(home.store)
    # Nobody asks, and it is noticed all the same.
    until(lambda: "a new index is made" in home.log, "another index")
    assert "rebuilt" in {each.code for each in home.status().degraded}
    until(lambda: home.indexed() == truth(home), "what there was")
    require_right(home)
    (home.pictures / "0" / "0.jpg").unlink()
    jpeg(home.pictures / "newer.jpg", "blue")
    require_right(home)
    assert home.daemon is not None
    assert home.status().pid == home.daemon.pid
    assert home.stop() == 0
    embedded = home.embedded()
    require_right(home.start())
    assert home.embedded() == embedded


def lose_a_vector_table(store: Path) -> None:
    shell(store, "DROP TABLE embeddings_1_rowids")


def misplace_a_chunk(store: Path) -> None:
    shell(store, "UPDATE embeddings_1_vector_chunks00 SET vectors = zeroblob(9)")


@pytest.mark.parametrize("damage", [lose_a_vector_table, misplace_a_chunk])
def test_fault_46_damaged_vectors_alone_cost_no_file_its_row(full: Home, damage: Damage) -> None:
    home = full.start()
    home.settle()
    rows = shell(home.store, "SELECT id, name FROM files ORDER BY id")
    damage(home.store)
    jpeg(home.pictures / "new.jpg", "red")
    until(lambda: "is repaired" in home.log, "the repair")
    require_right(home)
    assert shell(home.store, "SELECT id, name FROM files ORDER BY id")[: len(rows)] == rows
    assert not home.troubles("rebuilt", "damaged", "store")
    assert not list(home.store.parent.glob("*.damaged-*"))
    assert home.imgq("check").returncode == 0


def test_fault_45_what_is_set_aside_is_told_and_sound_vectors_are_kept(full: Home) -> None:
    home = full.start()
    home.settle()
    before = home.embedded()
    delete(home.store)
    until(lambda: "a new index is made" in home.log, "another index")
    require_right(home)
    assert home.embedded() == before
    home.stop()

    write_a_letter(home.store)
    home.start()
    (trouble,) = home.troubles("rebuilt")
    assert trouble.path is not None
    aside = Path(os.fsdecode(trouble.path))
    assert aside.read_text().startswith("Dear Sir")
    assert str(aside) in trouble.message
    assert "1 folders" in trouble.message
