"""What filters and words are looked up in follows whatever becomes of files, folders and sidecars."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from batches import hash_of, opened, shell, vector
from imgq import wire
from imgqd.records import (
    Gone,
    GoneFolder,
    Ignored,
    Indexed,
    Metadata,
    Moved,
    Noted,
    Notes,
    Stamp,
)
from imgqd.store import Identity, Store

VERSION_2 = Path(__file__).with_name("index-2.db.gz")
NOTES = Notes(title="Holiday in Rome", camera="Leica Q2", keywords=("sea", "sky"), rating=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = opened(path)
    yield store
    codes = {fault.code for fault in store.check()}
    store.close()
    assert codes == set()


def stamp(n: int) -> Stamp:
    return Stamp(n, n, n, n, 1)


def shows(path: str, n: int, notes: Notes = NOTES) -> Indexed:
    metadata = Metadata("JPEG", 40, 30, notes)
    return Indexed(path.encode(), stamp(n), hash_of(n), True, metadata, vector(n))


def sidecar(path: str, n: int, notes: Notes | None) -> Ignored:
    return Ignored(path.encode(), stamp(n), notes)


def words(store: Store, text: str) -> set[str]:
    passed = store.passed(wire.Filter(words=text))
    return {shown.path.decode() for shown in store.shown(passed.files.tolist()).values()}


def rated(store: Store, stars: int) -> set[str]:
    passed = store.passed(wire.Filter(ranges=(wire.Range(of="rating", low=stars, high=stars),)))
    return {shown.path.decode() for shown in store.shown(passed.files.tolist()).values()}


def test_words_are_those_below_the_root_and_of_the_root(path: Path) -> None:
    store = Store.open(path, "decoder-1")
    store.use_model("one", "one", 8)
    store.add_root(b"/home/ann/Pictures/best", Identity(1, 2, "x"))
    store.commit([shows("/home/ann/Pictures/best/Rome 2019/a.jpg", 1, Notes())], 1.0)
    found = {"/home/ann/Pictures/best/Rome 2019/a.jpg"}
    assert words(store, "rome") == words(store, "2019") == words(store, "best") == found
    assert words(store, "ann") == words(store, "pictures") == set()
    store.add_root(b"/home/ann/Pictures", Identity(1, 3, "x"))
    assert words(store, "pictures rome") == found
    store.remove_root(b"/home/ann/Pictures", 2.0)
    assert words(store, "pictures") == set()
    assert words(store, "best rome a") == found
    assert store.check() == []
    store.close()


def test_words_follow_a_file_that_moves(store: Store) -> None:
    store.commit([shows("/r/rome/one.jpg", 1, Notes())], 1.0)
    store.commit([Moved(b"/r/rome/one.jpg", b"/r/paris/two.jpg", stamp(1))], 2.0)
    assert words(store, "one") == words(store, "rome") == set()
    assert words(store, "two paris") == {"/r/paris/two.jpg"}
    store.commit([Gone(b"/r/paris/two.jpg")], 3.0)
    assert words(store, "two") == set()


def test_files_that_change_places_change_words(store: Store) -> None:
    store.commit([shows("/r/a/rome.jpg", 1, Notes()), shows("/r/b/paris.jpg", 2)], 1.0)
    swap = [Moved(b"/r/a/rome.jpg", b"/r/b/paris.jpg", stamp(1))]
    swap += [Moved(b"/r/b/paris.jpg", b"/r/a/rome.jpg", stamp(2))]
    store.commit(swap, 2.0)
    assert words(store, "holiday rome") == {"/r/a/rome.jpg"}
    assert words(store, "holiday paris") == set()


def test_folder_that_is_renamed_is_one_row(store: Store, path: Path) -> None:
    store.commit([shows(f"/r/rome/{n}.jpg", n, Notes()) for n in range(1, 9)], 1.0)
    kinds = ("INSERT", "UPDATE", "DELETE")
    pairs = [(kind, table) for kind in kinds for table in ("texts", "details", "folder_texts")]
    shell(path, "CREATE TABLE writes(what)")
    for n, (kind, table) in enumerate(pairs):
        act = f"INSERT INTO writes VALUES ('{table}')"
        shell(path, f"CREATE TRIGGER w{n} AFTER {kind} ON {table} BEGIN {act}; END")
    moves = [Moved(b"/r/rome/%d.jpg" % n, b"/r/paris/%d.jpg" % n, stamp(n)) for n in range(1, 9)]
    store.commit([*moves, GoneFolder(b"/r/rome")], 2.0)
    assert shell(path, "SELECT what, count(*) FROM writes GROUP BY what") == [("folder_texts", 2)]
    shell(path, *(f"DROP TRIGGER w{n}" for n in range(9)), "DROP TABLE writes")
    assert words(store, "rome") == set()
    assert words(store, "paris 3") == {"/r/paris/3.jpg"}


def test_what_stays_of_a_renamed_folder_keeps_its_words(store: Store) -> None:
    files = [shows(f"/r/rome/{n}.jpg", n, Notes()) for n in range(1, 5)]
    store.commit([*files, sidecar("/r/rome/1.xmp", 9, Notes(rating=5))], 1.0)
    assert rated(store, 5) == {"/r/rome/1.jpg"}
    moves = [Moved(b"/r/rome/%d.jpg" % n, b"/r/paris/%d.jpg" % n, stamp(n)) for n in range(1, 4)]
    store.commit(moves, 2.0)
    assert words(store, "rome") == {"/r/rome/4.jpg"}
    assert rated(store, 5) == set()
    assert {f.rpartition("/")[2] for f in words(store, "paris")} == {"1.jpg", "2.jpg", "3.jpg"}


def test_notes_that_are_read_again_replace_the_old(store: Store) -> None:
    store.commit([shows("/r/a.jpg", 1), shows("/r/b.jpg", 2)], 1.0)
    newer = Metadata("JPEG", 40, 30, Notes(title="Paris", rating=4), 6, b"p" * 16)
    store.commit([Noted(hash_of(1), newer), Noted(hash_of(2), None), Noted(hash_of(3), newer)], 2.0)
    assert words(store, "holiday") == {"/r/b.jpg"}
    assert words(store, "paris") == rated(store, 4) == {"/r/a.jpg"}
    assert store.files()[0].picture.metadata == newer


def test_copies_have_the_same_notes_and_names_of_their_own(store: Store) -> None:
    copy = Indexed(b"/r/copy.jpg", stamp(7), hash_of(1), True)
    store.commit([shows("/r/a.jpg", 1), copy], 1.0)
    assert words(store, "holiday") == {"/r/a.jpg", "/r/copy.jpg"}
    assert words(store, "copy") == {"/r/copy.jpg"}
    again = shows("/r/a.jpg", 1, Notes(title="Paris"))
    store.commit([again], 2.0)
    assert words(store, "holiday") == set()
    assert words(store, "paris") == {"/r/a.jpg", "/r/copy.jpg"}


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp", "a.XMP", "a.jpg.XMP"])
def test_sidecar_goes_before_what_is_inside(store: Store, name: str) -> None:
    store.commit([shows("/r/a.jpg", 1), shows("/r/a.b.jpg", 2), shows("/r/b.jpg", 3)], 1.0)
    store.commit([sidecar(f"/r/{name}", 9, Notes(title="Paris", rating=5))], 2.0)
    assert words(store, "paris") == rated(store, 5) == {"/r/a.jpg"}
    assert words(store, "leica") == {"/r/a.jpg", "/r/a.b.jpg", "/r/b.jpg"}
    store.commit([sidecar(f"/r/{name}", 10, Notes(rating=1))], 3.0)
    assert words(store, "paris") == set()
    assert rated(store, 1) == {"/r/a.jpg"}
    store.commit([Gone(f"/r/{name}".encode())], 4.0)
    assert rated(store, 1) == set()
    assert rated(store, 2) == {"/r/a.jpg", "/r/a.b.jpg", "/r/b.jpg"}


def test_sidecar_may_come_first_and_may_make_no_sense(store: Store) -> None:
    store.commit([sidecar("/r/a.xmp", 9, Notes(rating=5)), shows("/r/a.jpg", 1)], 1.0)
    store.commit([shows("/r/a.png", 2)], 1.0)
    assert rated(store, 5) == {"/r/a.jpg", "/r/a.png"}
    store.commit([sidecar("/r/a.xmp", 10, None)], 2.0)
    assert rated(store, 5) == set()


def test_sidecar_of_the_whole_name_goes_before_the_other(store: Store) -> None:
    low, high = sidecar("/r/a.xmp", 8, Notes(rating=1)), sidecar("/r/a.jpg.xmp", 9, Notes(rating=5))
    store.commit([low, high, shows("/r/a.jpg", 1), shows("/r/a.png", 2)], 1.0)
    assert (rated(store, 5), rated(store, 1)) == ({"/r/a.jpg"}, {"/r/a.png"})


def test_sidecar_moves_with_its_picture_or_without_it(store: Store) -> None:
    store.commit([shows("/r/a.jpg", 1), sidecar("/r/a.xmp", 9, Notes(rating=5))], 1.0)
    store.commit([Moved(b"/r/a.xmp", b"/r/b.xmp", stamp(9))], 2.0)
    assert rated(store, 5) == set()
    store.commit([Moved(b"/r/a.jpg", b"/r/b.jpg", stamp(1))], 3.0)
    assert rated(store, 5) == {"/r/b.jpg"}
    both = [
        Moved(b"/r/b.jpg", b"/r/c/b.jpg", stamp(1)),
        Moved(b"/r/b.xmp", b"/r/c/b.xmp", stamp(9)),
    ]
    store.commit(both, 4.0)
    assert rated(store, 5) == {"/r/c/b.jpg"}


def test_sidecar_that_becomes_a_picture_is_none(store: Store) -> None:
    store.commit([shows("/r/a.jpg", 1), sidecar("/r/a.xmp", 9, Notes(rating=5))], 1.0)
    store.commit([shows("/r/a.xmp", 2)], 2.0)
    assert rated(store, 5) == set()


DAMAGE = {
    "details": ["DELETE FROM details WHERE file = 2"],
    "details too many": ["CREATE TEMP TABLE one AS SELECT * FROM details LIMIT 1",
                         "UPDATE one SET file = 99", "INSERT INTO details SELECT * FROM one"],
    "a rating": ["UPDATE details SET rating = 5 WHERE file = 3"],
    "texts": ["DELETE FROM texts WHERE file = 2"],
    "a text": ["UPDATE texts SET title = 'paris' WHERE file = 2"],
    "names": ["UPDATE folder_texts SET names = 'paris'"],
    "words": ["INSERT INTO file_words(file_words) VALUES ('delete-all')"],
    "words' data": ["DELETE FROM file_words_data WHERE id > 10"],
    "words' sizes": ["DROP TABLE folder_words_docsize"],
    "words' settings": ["DROP TABLE file_words_config"],
    "words' places": ["DROP TABLE file_words_idx", "DROP TABLE file_words_data"],
    "words alone": ["DROP TABLE file_words"],
    "folder words": ["INSERT INTO folder_words(rowid, names) VALUES (77, 'paris')"],
}  # fmt: skip


@pytest.mark.parametrize("which", DAMAGE)
def test_damage_is_found_and_mended(path: Path, which: str) -> None:
    store = opened(path)
    store.commit([shows(f"/r/rome/{n}.jpg", n) for n in range(1, 6)], 1.0)
    assert store.check() == []
    shell(path, *DAMAGE[which])
    codes = {fault.code for fault in store.check()}
    assert codes & {"details", "words", "damaged", "dangling"}
    store.repair()
    assert store.check() == []
    assert words(store, "holiday rome") == {f"/r/rome/{n}.jpg" for n in range(1, 6)}
    assert rated(store, 2) == words(store, "rome")
    assert words(store, "paris") == rated(store, 5) == set()
    store.close()


def test_words_that_are_damaged_do_not_keep_the_index_from_opening(path: Path) -> None:
    store = opened(path)
    store.commit([shows("/r/a.jpg", 1)], 1.0)
    store.close()
    shell(path, "DELETE FROM file_words_data WHERE id > 10")
    store = opened(path)
    assert len(store.files()) == 1
    store.repair()
    assert words(store, "holiday") == {"/r/a.jpg"}
    store.close()


def test_index_that_is_made_anew_finds_words_again(store: Store) -> None:
    store.commit([shows("/r/rome/a.jpg", 1)], 1.0)
    store.renew()
    assert words(store, "rome") == set()
    store.commit([Indexed(b"/r/rome/a.jpg", stamp(1), hash_of(1))], 2.0)
    assert words(store, "rome leica") == {"/r/rome/a.jpg"}


def test_older_index_finds_its_files_by_words(path: Path) -> None:
    path.write_bytes(gzip.decompress(VERSION_2.read_bytes()))
    store = Store.open(path, "decoder-1")
    store.use_model("one", "one", 8)
    assert words(store, "leica rome") == {"/home/ann/Pictures/Rome 2019/IMG_1.jpg"}
    assert words(store, "cafe") == {"/home/ann/Pictures/Rome 2019/café.png"}
    assert store.check() == []
    # sidecars are read for the first time
    assert not store.rows(b"/home/ann/Pictures/Rome 2019")[b"IMG_1.jpg.xmp"].trusted
    assert store.rows(b"/home/ann/Pictures")[b"notes.txt"].trusted
    store.close()
