"""An index made anew in place of a damaged one: roots from beside it, pictures out of it."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from batches import (
    BATCH,
    ROOT,
    batch,
    batches_in,
    filled,
    hash_of,
    indexed,
    opened,
    opened_anew,
    pictures_in,
    shell,
)
from imgq.errors import StoreBusy, StoreDamaged, StoreError, StoreFull
from imgqd.records import Gone
from imgqd.store import Identity, Renewed, Root, Store
from imgqd.store.database import database, place
from imgqd.store.database.gate import Gate
from imgqd.store.database.opening import open_reader
from imgqd.store.repair import kept

if TYPE_CHECKING:
    from collections.abc import Callable

BATCHES = 40
MOST = BATCHES * BATCH
AWAY = Root(b"/caf\xe9\n", Identity(3, (1 << 64) - 1, "1f", "vfat"), "offline", had_entries=True)
MOUNT = Root(b"/r/disk", Identity(5, 6, "2f", "ext4"), mount=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private" / "index.db"


def with_roots(path: Path) -> Store:
    """An index with pictures, and with roots of every sort."""
    store = filled(path, BATCHES)
    store.add_root(AWAY.path, AWAY.identity)
    store.set_root(AWAY.path, state="offline", had_entries=True)
    store.add_root(MOUNT.path, MOUNT.identity, mount=True)
    return store


def roots_of(store: Store) -> list[Root]:
    return sorted(store.roots(), key=lambda root: root.path)


ALL_ROOTS = sorted([ROOT, AWAY, MOUNT], key=lambda root: root.path)


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def write_text(path: Path) -> None:
    path.write_text("not a database\n" * 100)


def replace_by_another_program(path: Path) -> None:
    path.unlink()
    shell(path, "CREATE TABLE bookmarks(url)")


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").touch()


def replace_by_another_index(path: Path) -> None:
    other = path.with_name("other")
    filled(other / "index.db", 1).close()
    os.replace(other / "index.db", path)


def leave_a_table_out(path: Path) -> None:
    shell(path, "DROP TABLE failures")


LOSSES = [
    delete,
    empty,
    write_text,
    replace_by_another_program,
    replace_by_a_folder,
    replace_by_another_index,
    leave_a_table_out,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_roots_outlive_whatever_becomes_of_the_index(
    path: Path, lose: Callable[[Path], None]
) -> None:
    with_roots(path).close()
    lose(path)
    for immutable in (False, True):
        with pytest.raises(StoreDamaged):
            opened(path, immutable=immutable)
    store, renewed = Store.open_anew(path, "decoder-1")
    assert (renewed.aside is None) == (lose is delete)
    assert roots_of(store) == ALL_ROOTS
    store.commit([Gone(b"/r/1")], 1.0)
    store.close()
    store = opened(path)
    assert roots_of(store) == ALL_ROOTS
    store.close()


@pytest.mark.parametrize("lose", [delete, empty])
def test_index_without_roots_is_no_loss(path: Path, lose: Callable[[Path], None]) -> None:
    store = filled(path, 1)
    store.remove_root(ROOT.path, 1.0)
    store.close()
    lose(path)
    store = opened(path)
    assert store.counts().files == 0
    store.close()


@pytest.mark.parametrize("told", [b"", b"[]", b"{}", b'{"origin": "00", "roots": [1]}', b"\xff"])
def test_roots_beside_that_make_no_sense_are_written_again(path: Path, told: bytes) -> None:
    with_roots(path).close()
    beside = path.with_name("index.db.roots")
    assert beside.stat().st_mode & 0o777 == 0o600
    before = beside.read_bytes()
    beside.write_bytes(told)
    with_roots(path).close()
    assert beside.read_bytes() == before


def test_root_that_cannot_be_kept_beside_is_not_added(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)

    def full(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreFull):
            store.add_root(AWAY.path, AWAY.identity)
    assert store.roots() == [ROOT]
    store.add_root(AWAY.path, AWAY.identity)
    store.close()
    path.unlink()
    store = opened_anew(path)
    assert {root.path for root in store.roots()} == {ROOT.path, AWAY.path}
    store.close()


def test_root_is_not_lost_though_the_process_ends_while_it_changes(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is on disk at that instant, the root that was there is there."""
    store = with_roots(path)
    copies = [tmp_path / "before", tmp_path / "after"]
    real = kept.write

    def writing(index: Path, now: kept.Kept) -> None:
        for copy, write in zip(copies, (lambda *_: None, real), strict=True):
            write(index, now)
            shutil.copytree(path.parent, copy)

    monkeypatch.setattr(kept, "write", writing)
    store.remove_root(AWAY.path, 1.0)
    monkeypatch.undo()
    store.close()
    for copy in copies:
        store = opened(copy / "index.db")
        assert roots_of(store) == ALL_ROOTS
        store.close()
    store = opened(path)
    assert AWAY not in store.roots()
    store.close()


def test_root_that_only_lies_beside_comes_back(path: Path) -> None:
    with_roots(path).close()
    shell(path, "DELETE FROM roots WHERE state = 'offline'")
    store = opened(path)
    assert roots_of(store) == ALL_ROOTS
    store.close()


def test_index_that_a_link_leads_to_keeps_its_place(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk" / "real.db"
    path.parent.mkdir()
    elsewhere.parent.mkdir()
    path.symlink_to(elsewhere)
    filled(path, 1).close()
    elsewhere.write_text("no database")
    store = opened_anew(path)
    assert store.roots() == [ROOT]
    assert path.is_symlink()
    names = {entry.name.split("-")[0] for entry in elsewhere.parent.iterdir()}
    assert names == {"real.db", "real.db.roots", "real.db.damaged"}
    store.close()


def test_pictures_of_an_index_that_another_took_the_place_of_are_had_out_of_that(
    path: Path,
) -> None:
    with_roots(path).close()
    replace_by_another_index(path)
    store = opened_anew(path)
    assert pictures_in(store, MOST) == set(range(BATCH))
    store.close()


def garble_pages(path: Path, seed: int) -> None:
    """Eight pages of nothing but noise; never the first."""
    chance, size = random.Random(seed), path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(8):
            file.seek(chance.randrange(1, size // 8192) * 8192)
            file.write(chance.randbytes(8192))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_had_out_of_a_garbled_index_is_right(path: Path, seed: int) -> None:
    with_roots(path).close()
    garble_pages(path, seed)
    store, renewed = Store.open_anew(path, "decoder-1")
    assert renewed.aside is not None
    assert renewed.aside.exists()
    store.use_model("one", "one", 8)
    assert roots_of(store) == ALL_ROOTS
    # a page may hold the root of a table: then there is nothing
    assert len(pictures_in(store, MOST)) == renewed.pictures
    for n in range(MOST):
        store.commit([indexed(n)], 1.0)
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


def test_most_is_had_out_of_an_index_with_one_garbled_page_of_pictures(path: Path) -> None:
    """The metadata of some; hash and vector of no other are lost."""
    store = filled(path, BATCHES)
    store.close()
    [(page,)] = shell(
        path,
        "CREATE VIRTUAL TABLE temp.stat USING dbstat(main)",
        "SELECT pageno FROM temp.stat WHERE name = 'pictures' AND pagetype = 'leaf' LIMIT 1 OFFSET 1",
    )
    with path.open("r+b") as file:
        file.seek((int(str(page)) - 1) * 8192)
        file.write(b"\xa5" * 8192)
    store = opened_anew(path)
    left = pictures_in(store, MOST)
    assert MOST // 3 < len(left) < MOST
    store.close()


def test_copies_of_an_index_know_each_other(path: Path, tmp_path: Path) -> None:
    with_roots(path).close()
    copy = tmp_path / "copy"
    shutil.copytree(path.parent, copy)
    store = opened(copy / "index.db")
    assert batches_in(store) == BATCHES
    store.close()


def test_renewed_index_has_roots_model_and_pictures(path: Path) -> None:
    store = with_roots(path)
    numbers = {n: store.known(hash_of(n)) for n in range(MOST)}
    store.use_model("two", "two", 4)
    store.use_model("one", "one", 8)
    store.damage.set()
    renewed = store.renew()
    assert renewed.aside is not None
    assert renewed == Renewed(renewed.aside, roots=3, pictures=MOST)
    assert renewed.aside.name.startswith("index.db.damaged-20")
    assert not store.damage.is_set()
    assert roots_of(store) == ALL_ROOTS
    assert store.counts().files == store.counts().pictures == 0
    assert {n: store.known(hash_of(n)) for n in range(MOST)} == numbers
    store.check_file()
    for number in range(BATCHES):
        changes = [change for change in batch(number) if not isinstance(change, Gone)]
        store.commit(changes, 1.0)
    assert store.files()[0].picture.metadata.notes.camera == "Leica"
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()
    assert {entry.name for entry in path.parent.iterdir()} == {
        "index.db",
        "index.db.roots",
        renewed.aside.name,
    }
    old = shell(renewed.aside, "SELECT count(*) FROM files")
    assert old == [(MOST - BATCHES + 1,)]


def test_of_those_set_aside_the_newest_two_are_kept(path: Path) -> None:
    store = with_roots(path)
    (path.parent / "index.db.damaged-20200102-030405").touch()
    (path.parent / "index.db.damaged-20200102-030405-wal").touch()
    (path.parent / "other.db.damaged-20200102-030405").touch()
    made = [store.renew().aside for _ in range(3)]
    left = {entry.name for entry in path.parent.glob("*.damaged-*")}
    assert left == {
        "other.db.damaged-20200102-030405",
        *(aside.name for aside in made[1:] if aside),
    }
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


@pytest.mark.parametrize("lose", [*LOSSES, lambda path: shutil.rmtree(path.parent)])
def test_index_that_is_lost_while_it_is_open_is_noticed_and_made_anew(
    path: Path, lose: Callable[[Path], None]
) -> None:
    store = with_roots(path)
    store.check_file()
    lose(path)
    if lose is leave_a_table_out:
        with pytest.raises(StoreDamaged, match="no such table"):
            store.errors()
    else:
        with pytest.raises(StoreDamaged):
            store.check_file()
    assert store.damage.is_set()
    assert store.renew().roots == 3
    assert not store.damage.is_set()
    store.check_file()
    assert roots_of(store) == ALL_ROOTS
    left = pictures_in(store, MOST)
    if lose not in (empty, write_text):
        # what was open was not touched
        assert left == set(range(MOST))
    store.commit([indexed(MOST)], 1.0)
    assert pictures_in(store, MOST + 1) == {*left, MOST}
    store.close()
    store = opened(path)
    assert pictures_in(store, MOST + 1) == {*left, MOST}
    store.close()


@pytest.mark.parametrize("by", ["text", "another index"])
def test_index_that_is_overwritten_while_it_is_open_is_noticed(
    path: Path, tmp_path: Path, by: str
) -> None:
    store = filled(path, BATCHES)
    store.maintain()
    store.check_file()
    filled(tmp_path / "other.db", BATCHES + 1).close()
    with path.open("r+b") as file:
        file.write((tmp_path / "other.db").read_bytes() if by != "text" else b"no database" * 99)
    with pytest.raises(StoreDamaged):
        store.check_file()
    store.renew()
    store.check_file()
    store.close()


def leave_nothing(store: Store) -> None:
    """The index shrinks, as far as it is let."""
    store.commit([Gone(shown.path) for shown in store.files()], 1.0)
    store.forget_orphans(2.0)
    store.maintain()


def grow(store: Store) -> None:
    for number in range(BATCHES // 2):
        store.commit([indexed(MOST + n) for n in range(number * BATCH, (number + 1) * BATCH)], 3.0)


def test_index_that_shrank_and_grows_again_was_not_cut(path: Path) -> None:
    """What is written anew stands in the log for a while: the file stays as small as it has become."""
    store = filled(path, BATCHES)
    store.maintain()
    store.check_file()
    before = path.stat().st_size
    leave_nothing(store)
    shrunk = path.stat().st_size
    grow(store)
    assert path.stat().st_size == shrunk < before, "the log was checkpointed"
    store.check_file()
    os.truncate(path, shrunk // 2)
    with pytest.raises(StoreDamaged, match="was cut"):
        store.check_file()
    store.renew()
    store.close()


def test_index_that_shrinks_once_nobody_reads_it_was_not_cut(path: Path) -> None:
    store = filled(path, BATCHES)
    store.maintain()
    before = path.stat().st_size
    reader = apsw.Connection(os.fspath(path))
    with reader:
        reader.execute("SELECT count(*) FROM files").fetchall()
        leave_nothing(store)
        assert path.stat().st_size == before, "the log was checkpointed"
        store.check_file()
    reader.close()
    store.give_back()
    assert path.stat().st_size < before
    grow(store)
    store.check_file()
    store.close()


def test_index_that_stands_still_is_opened_but_once_to_be_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(path, BATCHES)
    opened: list[Path] = []

    def counted(path: Path, **options: bool) -> apsw.Connection:
        opened.append(path)
        return open_reader(path, **options)

    monkeypatch.setattr(database, "open_reader", counted)
    store.check_file()
    store.check_file()
    assert len(opened) == 2, "it may have been written to since it was looked at"
    monkeypatch.setattr(place, "YOUNG_NS", 0)
    store.check_file()
    store.check_file()
    assert len(opened) == 3
    path.touch()
    store.check_file()
    assert len(opened) == 4
    store.close()


def test_model_in_use_outlives_the_table_of_models(path: Path) -> None:
    store = filled(path, 1)
    shell(path, "PRAGMA foreign_keys = off", "DELETE FROM models")
    assert store.renew().pictures == 0
    store.commit(batch(0), 1.0)
    assert batches_in(store) == 1
    store.close()
    store = opened(path)
    assert batches_in(store) == 1
    store.close()


@pytest.mark.parametrize("put", [None, "old log", "another's log"])
def test_log_that_is_lost_while_it_is_open_is_noticed_and_nothing_is_lost(
    path: Path, tmp_path: Path, put: str | None
) -> None:
    store = filled(path, BATCHES)
    log = path.with_name("index.db-wal")
    kept = log.read_bytes()
    log.unlink()
    if put == "old log":
        log.write_bytes(kept)
    elif put == "another's log":
        other = filled(tmp_path / "other.db", 3)
        shutil.copy(tmp_path / "other.db-wal", log)
        other.close()
    with pytest.raises(StoreDamaged, match="deleted or replaced"):
        store.check_file()
    store.renew()
    store.check_file()
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


def test_new_pictures_never_take_the_number_of_one_that_was_lost(path: Path) -> None:
    store = filled(path, 1)
    last = store.known(hash_of(BATCH - 1))
    assert last is not None
    store.forget_embeddings([last])
    store.renew()
    store.commit([indexed(BATCH)], 1.0)
    new = store.known(hash_of(BATCH))
    assert new is not None
    assert new > last
    store.close()


def test_threads_go_on_calling_while_the_index_is_made_anew(path: Path) -> None:
    store = with_roots(path)
    ending = threading.Event()
    answered = dict.fromkeys(("read", "write"), 0)
    faults: list[BaseException] = []

    def call(name: str, ask: Callable[[], object]) -> None:
        try:
            while not ending.is_set():
                try:
                    ask()
                    answered[name] += 1
                except StoreError:
                    continue
        except BaseException as fault:
            faults.append(fault)

    def wait_for(more: dict[str, int]) -> None:
        while not faults and any(answered[name] < count for name, count in more.items()):
            ending.wait(0.01)

    calls: list[tuple[str, Callable[[], object]]] = [
        ("read", lambda: (store.files_of(range(20)), store.vectors(range(20)))),
        ("read", lambda: (store.roots(), list(store.resident()), store.counts())),
        ("write", lambda: store.commit([indexed(1), Gone(b"/r/1")], 1.0)),
    ]
    threads = [threading.Thread(target=call, args=each) for each in calls]
    for thread in threads:
        thread.start()
    for _ in range(3):
        wait_for({name: count + 5 for name, count in answered.items()})
        store.renew()
    wait_for({name: count + 5 for name, count in answered.items()})
    ending.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert roots_of(store) == ALL_ROOTS
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


def test_immutable_index_can_be_made_writable(path: Path) -> None:
    filled(path, 2).close()
    store = opened(path, immutable=True)
    assert store.is_immutable
    assert batches_in(store) == 2
    with pytest.raises(StoreError, match="reading alone"):
        store.commit(batch(2), 1.0)
    store.check_file()
    store.make_writable()
    assert not store.is_immutable
    store.commit(batch(2), 1.0)
    assert batches_in(store) == 3
    store.make_writable()
    store.check_file()
    store.close()


def test_index_that_cannot_be_made_writable_answers_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 2).close()
    store = opened(path, immutable=True)

    def full(path: Path) -> None:
        raise StoreFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr("imgqd.store.database.database.open_writer", full)
        with pytest.raises(StoreFull):
            store.make_writable()
    assert store.is_immutable
    assert batches_in(store) == 2
    store.make_writable()
    store.close()


def test_whom_another_thread_led_out_is_not_inside() -> None:
    """As a generator that was left amid reading, and is collected elsewhere."""
    gate, closing, opening = Gate(patience=0.05), threading.Event(), threading.Event()

    def close() -> None:
        left.__exit__(None, None, None)
        with gate.closed():
            closing.set()
            assert opening.wait(60)

    left = gate.passed()
    left.__enter__()
    closer = threading.Thread(target=close)
    closer.start()
    assert closing.wait(60)
    with pytest.raises(StoreBusy), gate.passed():
        pass
    opening.set()
    closer.join()
    with gate.passed():
        pass


def test_gate_that_is_closed_lets_nobody_in_who_is_not_inside() -> None:
    gate = Gate(patience=0.05)
    inside, closing, opening = threading.Event(), threading.Event(), threading.Event()

    def close() -> None:
        assert inside.wait(60)
        with gate.closed():
            closing.set()
            assert opening.wait(60)

    closer = threading.Thread(target=close)
    closer.start()
    with gate.passed():
        inside.set()
        assert closing.wait(60)  # who is inside is waited for, but not for ever
        with gate.passed():
            pass
    with pytest.raises(StoreBusy), gate.passed():
        pass
    opening.set()
    closer.join()
    with gate.passed():
        pass
