"""The database file: who may read it, what is refused, what outlives kills, faults and readers."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import apsw
import numpy as np
import pytest

from batches import (
    BATCH,
    batch,
    batches_in,
    environment,
    filled,
    opened,
    opened_anew,
    shell,
    vector,
)
from imgq.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreNewer
from imgqd.health.opening import open_index
from imgqd.records import Gone, Metadata, Notes
from imgqd.store import Counts, Identity, Root, Store
from imgqd.store.database import opening, schema
from mounting import mounts_copied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imgqd.models.card import Card

# each made by the last code that knew no later version
VERSION_1 = Path(__file__).with_name("index-1.db.gz")
VERSION_2 = Path(__file__).with_name("index-2.db.gz")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private" / "index.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = opened(path)
    yield store
    store.close()


def write(path: Path) -> None:
    """Goes on with the batches until it is killed; a line before each."""
    store = opened(path)
    for number in range(batches_in(store), 1_000_000):
        print(number, flush=True)
        store.commit(batch(number), float(number))


def fill(path: Path) -> None:
    """On a small disk: opens the index where no byte is left, commits until none is, and cannot make
    it anew then."""
    store = opened(path)
    store.commit(batch(0), 1.0)
    store.close()
    ballast = path.with_name("ballast")
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    with pytest.raises(StoreFull):
        Store.open(path, "decoder-1")
    store = opened(path, immutable=True)
    assert batches_in(store) == 1
    with pytest.raises(StoreFull):
        store.make_writable()
    assert store.is_immutable
    assert batches_in(store) == 1
    ballast.unlink()
    store.make_writable()

    number = 1
    with contextlib.suppress(StoreFull):
        while True:
            store.commit(batch(number), 1.0)
            number += 1
    assert batches_in(store) == number > 1
    with pytest.raises(StoreFull):
        store.renew()
    assert batches_in(store) == number
    assert not path.with_name("index.db.new").exists()
    store.close()
    store = opened(path)
    assert batches_in(store) == number
    store.close()


def test_index_is_its_owners_alone(store: Store, path: Path) -> None:
    store.commit(batch(0), 1.0)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(os.stat(f"{path}{suffix}").st_mode) == 0o600


def test_index_opens_again_with_all_it_held(path: Path) -> None:
    for number in range(3):
        store = opened(path)
        assert batches_in(store) == number
        store.commit(batch(number), 1.0)
        store.close()


def test_path_of_the_index_may_be_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 %41?#") / "index.db"
    opened(path).close()
    assert path.exists()


def test_settings_are_those_that_outlived_the_kills(store: Store, path: Path) -> None:
    writer = store._database._writer
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 1
    assert writer.pragma("foreign_keys") == 1
    assert writer.pragma("auto_vacuum") == 2
    assert writer.pragma("busy_timeout") == 5000


def test_newer_index_is_refused_and_left_alone(path: Path) -> None:
    opened(path).close()
    shell(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreNewer, match="newer imgq"):
        Store.open(path, "decoder-1")
    assert path.read_bytes() == before


def test_older_index_is_brought_to_this_form(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(path)
    store.commit(batch(0), 1.0)
    store.close()

    def add_rating(connection: apsw.Connection) -> None:
        connection.execute("ALTER TABLE pictures ADD COLUMN stars INTEGER NOT NULL DEFAULT 3")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, add_rating))
    store = opened(path)
    assert batches_in(store) == 1
    with store._database.read() as connection:
        assert schema.version(connection) == len(schema.MIGRATIONS)
        assert connection.execute("SELECT max(stars) FROM pictures").get == 3
    store.close()


def test_index_of_version_1_is_brought_to_this_form(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(gzip.decompress(VERSION_1.read_bytes()))
    store = Store.open(path, "decoder-1")
    store.use_model("one", "one", 8)
    away = Root(b"/away", Identity(3, 4, "vfat:1", ""), "offline", had_entries=True)
    assert store.roots() == [away, Root(b"/r", Identity(1, 2, "ext4:1", ""))]
    assert [shown.path for shown in store.files()] == [
        b"/r/1",
        b"/r/2",
        b"/r/3",
        b"/r/4",
        b"/away/x",
    ]
    blocks = list(store.resident())
    found = {
        id: vector
        for block in blocks
        for id, vector in zip(block.ids.tolist(), block.vectors, strict=True)
    }
    # the checksum of the third was wrong before
    assert [id for block in blocks for id in block.damaged] == [3]
    assert found.keys() == {1, 2, 4, 6}
    for n, id in ((1, 1), (2, 2), (4, 4), (9, 6)):
        np.testing.assert_array_equal(found[id], vector(n, 8))
    assert store.counts() == Counts(files=3, pending=1, failed=1, offline=1, ignored=1, pictures=5)
    assert store.known((5).to_bytes(16, "big")) == 5
    store.use_model("two", "two", 4)
    [block] = store.resident()
    assert (block.ids.tolist(), block.damaged) == ([1], [])
    store.close()


def test_index_of_version_2_is_brought_to_this_form(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(gzip.decompress(VERSION_2.read_bytes()))
    store = Store.open(path, "decoder-1")
    store.use_model("one", "one", 8)
    pictures = {shown.path: shown.picture for shown in store.files()}
    rome = b"/home/ann/Pictures/Rome 2019/"
    assert sorted(pictures) == [
        b"/away/x.webp",
        rome + b"IMG_1.jpg",
        rome + "café.png".encode(),
        b"/home/ann/Pictures/copy.jpg",
        "/home/ann/Pictures/東京/bad".encode() + b"\xff.jpg",
    ]
    notes = Notes("2019-05-06T07:08:09", "exif", "Leica Q2", "Summilux", 41.9, 12.5)
    assert pictures[rome + b"IMG_1.jpg"].metadata == Metadata("JPEG", 4000, 3000, notes)
    assert pictures[rome + "café.png".encode()].metadata == Metadata("PNG", 300, 400)
    found = {id for block in store.resident() for id in block.ids.tolist()}
    assert found == {1, 2, 3, 4}
    assert store.counts() == Counts(files=4, pending=0, failed=1, offline=1, ignored=2, pictures=4)
    assert store.check() == []
    store.close()


def test_migration_that_fails_changes_nothing(path: Path) -> None:
    opened(path).close()
    connection = apsw.Connection(str(path))
    older = schema.MIGRATIONS[: schema.version(connection)]

    def drop(connection: apsw.Connection) -> None:
        connection.execute("DROP TABLE failures")

    def fail(connection: apsw.Connection) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        schema.upgrade(connection, [*older, drop, fail])
    assert schema.version(connection) == len(older)
    assert connection.execute("SELECT count(*) FROM failures").get == 0
    connection.close()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path, name: str = "files_inode") -> None:
    """Another page in place of the root of a table or index."""
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).get
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * opening.NEW["page_size"])
        file.write(b"\xa5" * 512)


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database")


def write_text(path: Path) -> None:
    path.write_text("not a database\n" * 100)


def replace_by_another_program(path: Path) -> None:
    path.unlink()
    shell(path, "CREATE TABLE bookmarks(url)")


@pytest.mark.parametrize(
    "damage", [truncate, garble, overwrite_header, write_text, replace_by_another_program]
)
def test_damaged_index_is_found_at_the_start_and_set_aside(
    path: Path, damage: Callable[[Path], None]
) -> None:
    filled(path, 30).close()
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(StoreDamaged, match=r"index\.db"):
        Store.open(path, "decoder-1")
    store = opened_anew(path)
    [aside] = path.parent.glob("index.db.damaged-20*")
    assert aside.read_bytes() == damaged
    assert batches_in(store) == 0
    store.close()


def test_pages_of_very_many_vectors_are_checked_when_others_need_not_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 30).close()
    sound = path.read_bytes()
    garble(path, "embeddings_1_vector_chunks00")
    with pytest.raises(StoreDamaged):
        Store.open(path, "decoder-1")
    monkeypatch.setattr(opening, "MOST_CHECKED_AT_ONCE", 0)
    store = Store.open(path, "decoder-1")
    assert not store.damage.is_set()
    with pytest.raises(StoreDamaged, match=r"index\.db is damaged"):
        store.check_pages()
    assert store.damage.is_set()
    store._database.close_untouched()

    path.write_bytes(sound)
    store = Store.open(path, "decoder-1")
    store.check_pages()
    store.close()
    garble(path, "roots")
    with pytest.raises(StoreDamaged):
        Store.open(path, "decoder-1")


def test_large_index_that_cannot_be_taken_into_memory_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(path, 30)
    model = store.model
    store.close()
    garble(path, "embedding_sums")
    monkeypatch.setattr(opening, "MOST_CHECKED_AT_ONCE", 0)
    card = SimpleNamespace(identity=model.identity, name=model.name, dim=model.dim)
    index = open_index(path, lambda _: cast("Card", card))
    assert index.renewed is not None
    assert [root.path for root in index.store.roots()] == [b"/r"]
    index.store.close()


def test_index_that_was_deleted_or_replaced_is_noticed(path: Path, store: Store) -> None:
    store.check_file()
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreDamaged, match="deleted or replaced"):
        store.check_file()
    path.write_bytes(b"")
    with pytest.raises(StoreDamaged, match="deleted or replaced"):
        store.check_file()


def test_immutable_index_answers_and_writes_nothing(path: Path) -> None:
    store = opened(path)
    store.commit(batch(0), 1.0)
    store.close()
    entries = set(path.parent.iterdir())
    before = path.read_bytes()
    store = Store.open(path, "decoder-1", immutable=True)
    assert store.counts().ignored == 0
    assert len(store.rows(b"/r")) == BATCH
    assert len(store.files()) == BATCH
    with pytest.raises(StoreError, match="reading alone"):
        store.commit([Gone(b"/r/1")], 1.0)
    assert set(path.parent.iterdir()) == entries
    store.close()
    assert path.read_bytes() == before


def test_writer_that_another_process_keeps_waiting_says_so(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._database._writer.set_busy_timeout(20)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="another process"):
        store.commit(batch(0), 1.0)
    assert batches_in(store) == 0
    other.execute("COMMIT")
    store.commit(batch(0), 1.0)
    assert batches_in(store) == 1
    other.close()


def test_write_keeps_others_out_from_its_beginning(path: Path, store: Store) -> None:
    other = apsw.Connection(str(path))
    with store._database.write(), pytest.raises(apsw.BusyError):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_killed_while_it_writes_it_keeps_every_commit_and_no_half_of_one(path: Path) -> None:
    command = [sys.executable, __file__, "write", os.fspath(path)]
    for rounds in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(5 * rounds + 1)]
            writer.send_signal(signal.SIGKILL)
            told += map(int, writer.stdout)
        store = opened(path)
        assert batches_in(store) in (told[-1], told[-1] + 1)
        store.close()


def test_readers_see_whole_commits_while_one_writes(store: Store) -> None:
    done = threading.Event()
    seen: list[set[int]] = [set(), set()]
    faults: list[BaseException] = []

    def read(mine: set[int]) -> None:
        try:
            while not done.is_set() or len(mine) < 2:
                names = {int(name) for name in store.rows(b"/r")}
                whole = (max(names, default=-1) + 1) // BATCH
                assert len(names) == whole * BATCH - max(0, whole - 1)
                mine.add(whole)
        except BaseException as fault:
            faults.append(fault)

    readers = [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for reader in readers:
        reader.start()
    number = 0
    while number < 40 or not (faults or all(len(mine) > 2 for mine in seen)):
        store.commit(batch(number), 1.0)
        number += 1
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert batches_in(store) == number


def test_full_disk_stops_commits_and_nothing_else(tmp_path: Path) -> None:
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    on_small_disk = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" "$3" fill "$1/index.db"'
    arguments = ["sh", tmp_path, sys.executable, __file__]
    with mounts_copied():
        if (
            shutil.which("unshare") is None
            or subprocess.run([*mount, "mount -t tmpfs none /mnt"]).returncode
        ):
            pytest.skip("no mount namespace is to be had")
        subprocess.run([*mount, on_small_disk, *arguments], env=environment(), check=True)


class Faulty(apsw.VFSFile):
    """A file whose writes fail once the allowance is spent."""

    allowance = 1 << 60
    error: type[apsw.Error] = apsw.FullError

    def xWrite(self, data: bytes, offset: int) -> None:
        Faulty.allowance -= 1
        if Faulty.allowance < 0:
            raise Faulty.error("no space")
        super().xWrite(data, offset)


class FaultyDisk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("faulty", base="", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Faulty:
        return Faulty("unix", name, flags)


@pytest.fixture
def disk() -> Iterator[type[Faulty]]:
    before = apsw.vfs_names()[0]
    vfs = FaultyDisk()
    yield Faulty
    Faulty.allowance = 1 << 60
    apsw.set_default_vfs(before)
    vfs.unregister()


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize(
    ("error", "told"), [(apsw.FullError, StoreFull), (apsw.IOError, StoreError)]
)
def test_disk_that_fails_at_any_write_costs_that_commit_alone(
    path: Path,
    disk: type[Faulty],
    forever: bool,
    error: type[apsw.Error],
    told: type[StoreError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk, "error", error)
    store = opened(path)
    store.commit(batch(0), 1.0)
    number, full = 1, 0
    for allowance in range(0, 120, 3):
        disk.allowance = allowance
        try:
            store.commit(batch(number), 1.0)
            number += 1
        except told:
            full += 1
            if forever:
                with pytest.raises(told):
                    store.commit(batch(number), 1.0)
                assert len(store.files()) == number * BATCH - number + 1
        finally:
            disk.allowance = 1 << 60
    assert full > 0
    assert number > 1
    store.commit(batch(number), 1.0)
    assert batches_in(store) == number + 1
    store.close()
    store = opened(path)
    assert batches_in(store) == number + 1
    store.close()


if __name__ == "__main__":
    {"write": write, "fill": fill}[sys.argv[1]](Path(sys.argv[2]))
