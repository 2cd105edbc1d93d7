"""The index on disk, whatever becomes of its files, its disk and its process.

As a program, `test_storage.py DOES PATH` is the process that is killed.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np
import pytest

from batches import (
    BATCH,
    ROOT,
    batch,
    batches_in,
    environment,
    filled,
    hash_of,
    indexed,
    opened,
    opened_anew,
    pictures_in,
    shell,
)
from imgq.errors import StoreBusy, StoreDamaged, StoreError, StoreNewer
from imgqd.records import GoneFolder, Indexed, Metadata, Stamp
from imgqd.store import Store
from imgqd.store.database import opening, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCHES = 30
MOST = BATCHES * BATCH
BESIDE = ("", "-wal", ".roots")
VERSION_1 = Path(__file__).parents[1] / "index-1.db.gz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


def copied(path: Path, folder: Path, beside: tuple[str, ...] = BESIDE) -> Path:
    """The files of an index as they are now: what a kill or a power cut leaves."""
    folder.mkdir()
    for suffix in beside:
        shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return folder / path.name


def sound(path: Path) -> Store:
    """The index, made anew where it must be; whatever it holds is right."""
    try:
        store = opened(path)
    except StoreDamaged:
        store = opened_anew(path)
    assert store.check() == []
    assert store.roots() == [ROOT]
    pictures_in(store, MOST)
    return store


# 38: killed


def migrate(path: Path) -> None:
    while True:
        for suffix in ("", "-wal", "-shm", ".roots"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(gzip.decompress(VERSION_1.read_bytes()))
        print("again", flush=True)
        Store.open(path, "decoder-1").close()


def maintain(path: Path) -> None:
    store = opened(path)
    while True:
        store.commit([GoneFolder(b"/r")], 1.0)
        store.forget_orphans(2.0)
        store.commit([indexed(n) for n in range(MOST)], 1.0)
        print("again", flush=True)
        store.maintain()


def repair(path: Path) -> None:
    store = opened(path)
    while True:
        shell(path, "UPDATE embeddings_1_chunks SET validity = zeroblob(32)")
        print("again", flush=True)
        store.repair()


def renew(path: Path) -> None:
    store = opened(path)
    while True:
        print("again", flush=True)
        aside = store.renew().aside
        assert aside is not None
        for suffix in ("", "-wal", "-shm"):
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize("does", [maintain, repair, renew])
@pytest.mark.parametrize("rounds", range(1, 5))
def test_fault_38_killed_it_has_the_old_state_or_the_new(
    path: Path, does: Callable[[Path], None], rounds: int
) -> None:
    filled(path, 1).close()
    store = opened(path)
    store.commit([indexed(n) for n in range(MOST)], 1.0)
    store.close()
    kill(does, path, rounds)
    store = opened(path)  # never in need of being made anew
    faults = store.check()
    if does is repair:
        store.repair()
        faults = store.check()
    assert faults == []
    assert pictures_in(store, MOST) == set(range(MOST))
    assert store.roots() == [ROOT]
    assert not path.with_name("index.db.new").exists()
    store.close()


@pytest.mark.parametrize("rounds", range(1, 5))
def test_fault_38_killed_amid_a_migration_it_is_of_the_old_version_or_the_new(
    path: Path, rounds: int
) -> None:
    kill(migrate, path, rounds)
    if path.stat().st_size == len(gzip.decompress(VERSION_1.read_bytes())):
        version = shell(path, "PRAGMA user_version")
        assert version in ([(1,)], [(len(schema.MIGRATIONS),)])
        store = Store.open(path, "decoder-1")
        store.use_model("one", "one", 8)
        assert store.counts().files == 3
        store.close()


def kill(does: Callable[[Path], None], path: Path, rounds: int) -> None:
    command = [sys.executable, __file__, does.__name__, os.fspath(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        for _ in range(rounds):
            assert process.stdout.readline() == b"again\n"
        process.send_signal(signal.SIGKILL)


# 41: a power cut


def cut(log: bytearray, at: int) -> None:
    del log[at:]


def zero(log: bytearray, at: int) -> None:
    log[at : at + 512] = bytes(len(log[at : at + 512]))


def garble(log: bytearray, at: int) -> None:
    log[at : at + 512] = random.Random(at).randbytes(len(log[at : at + 512]))


def drop(log: bytearray, at: int) -> None:
    del log[at : at + 512]


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An index after each of eight commits that are in its log alone."""
    folder = tmp_path_factory.mktemp("snapshots")
    store = filled(folder / "index.db", 3)
    store.maintain()
    found = []
    for number in range(3, 11):
        store.commit(batch(number), 1.0)
        found.append(copied(store._database.path, folder / str(number)))
    store.close()
    return found


@pytest.mark.parametrize("damage", [cut, zero, garble, drop])
def test_fault_41_power_cut_leaves_the_first_commits_whole(
    snapshots: list[Path], tmp_path: Path, damage: Callable[[bytearray, int], None]
) -> None:
    chance, seen = random.Random(41), set()
    for case in range(40):
        number = chance.randrange(len(snapshots))
        path = copied(snapshots[number], tmp_path / str(case))
        log = path.with_name("index.db-wal")
        data = bytearray(log.read_bytes())
        at = chance.randrange(0, len(data))
        damage(data, at)
        log.write_bytes(data)
        store = opened(path)
        left = batches_in(store)
        assert 3 <= left <= number + 4
        seen.add(left)
        store.close()
    assert len(seen) > 4


# 42: a call of the database fails


class Faulty(apsw.Connection):
    """Whose calls fail, from the one that is told, once or for ever."""

    left: int | None = None
    forever = False
    error: type[apsw.Error] = apsw.BusyError

    def maybe(self) -> None:
        if Faulty.left is not None:
            Faulty.left -= 1
            if Faulty.left < 0:
                Faulty.left = 0 if Faulty.forever else None
                raise Faulty.error("planted")

    def execute(self, *words: Any, **options: Any) -> apsw.Cursor:
        self.maybe()
        return super().execute(*words, **options)

    def executemany(self, *words: Any, **options: Any) -> apsw.Cursor:
        self.maybe()
        return super().executemany(*words, **options)

    def wal_checkpoint(self, *words: Any, **options: Any) -> tuple[int, int]:
        self.maybe()
        return super().wal_checkpoint(*words, **options)

    def blob_open(self, *words: Any, **options: Any) -> apsw.Blob:
        self.maybe()
        return super().blob_open(*words, **options)


ERRORS = [apsw.BusyError, apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NoMemError]


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize("error", ERRORS)
def test_fault_42_call_that_fails_costs_that_commit_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: type[apsw.Error], forever: bool
) -> None:
    monkeypatch.setattr(opening.apsw, "Connection", Faulty)
    monkeypatch.setattr(Faulty, "error", error)
    monkeypatch.setattr(Faulty, "forever", forever)
    store, number, failed = filled(path, 1), 1, 0
    calls: list[Callable[[], object]] = [
        store.counts,
        store.maintain,
        lambda: store.files_of(range(9)),
        lambda: store.vectors(range(9)),
        lambda: list(store.resident()),
        lambda: store.set_root(b"/r", state="online"),
    ]
    for after in range(0, 200, 2):
        Faulty.left = after
        try:
            store.commit(batch(number), 1.0)
            number += 1
            calls[after // 2 % len(calls)]()
        except StoreError:
            failed += 1
            if forever:
                with pytest.raises(StoreError):
                    store.commit(batch(number), 1.0)
        Faulty.left = None
        assert len(store.rows(b"/r")) == number * (BATCH - 1) + 1
        store.commit(batch(number), 1.0)
        number += 1
    assert failed > 40
    # what cannot be read now is not what is wrong with it
    assert batches_in(store) == number
    assert store.check() == []
    store.close()


# 45: the file is damaged, or another


def truth(store: Store) -> list[object]:
    vectors = store.vectors(range(MOST))
    return [
        {name: row.stamp for name, row in store.rows(b"/r").items()},
        {file.path: file.picture.hash for file in store.files(0, MOST)},
        {id: vector.tobytes() for id, vector in vectors.items()},
        store.counts(),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_fault_45_page_that_is_garbled_while_open_is_noticed_or_harmless(
    path: Path, seed: int
) -> None:
    store = filled(path, BATCHES)
    store.maintain()
    right = truth(store)
    store.close()
    store = opened(path)
    chance = random.Random(seed)
    with path.open("r+b") as file:
        file.seek(chance.randrange(path.stat().st_size // 8192) * 8192)
        file.write(chance.randbytes(8192))
    noticed = True
    try:
        noticed = truth(store) != right
    except StoreError:
        assert store.damage.is_set()
    if noticed or store.check():
        store.renew()
    assert store.check() == []
    assert store.roots() == [ROOT]
    pictures_in(store, MOST)
    store.commit([indexed(n) for n in range(MOST)], 1.0)
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


@pytest.mark.parametrize("seed", range(12))
def test_fault_45_damage_to_a_closed_index_is_noticed_or_harmless(path: Path, seed: int) -> None:
    filled(path, BATCHES).close()
    chance, size = random.Random(seed), path.stat().st_size
    with path.open("r+b") as file:
        if seed % 3 == 0:
            file.truncate(chance.randrange(size))
        elif seed % 3 == 1:
            file.seek(chance.randrange(100))
            file.write(chance.randbytes(100))
        else:
            file.seek(chance.randrange(size // 8192) * 8192)
            file.write(chance.randbytes(8192))
    store = sound(path)
    store.commit([indexed(n) for n in range(MOST)], 1.0)
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


def test_fault_45_log_that_is_deleted_after_a_kill_takes_the_last_commits(
    path: Path, tmp_path: Path
) -> None:
    store = filled(path, 3)
    store.maintain()
    for number in range(3, 9):
        store.commit(batch(number), 1.0)
    copy = copied(path, tmp_path / "copy", ("", ".roots"))
    store.close()
    store = sound(copy)
    assert batches_in(store) == 3
    store.close()


@pytest.mark.parametrize("batches", [0, 1, 4, 40])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_fault_45_log_of_another_index_is_noticed_or_harmless(
    path: Path, tmp_path: Path, batches: int, checkpointed: bool
) -> None:
    filled(path, BATCHES).close()
    other = filled(tmp_path / "other.db", batches)
    if checkpointed:
        other.maintain()
        other.commit([indexed(n, b"/r/%d" % (n + 5)) for n in range(20)], 1.0)
    shutil.copy(tmp_path / "other.db-wal", f"{path}-wal")
    other.close()
    store = sound(path)
    if not checkpointed:  # the log names the other index
        assert pictures_in(store, MOST) == set(range(MOST))
    store.commit([indexed(n) for n in range(MOST)], 1.0)
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


def test_fault_45_log_of_another_program_is_noticed_or_harmless(path: Path, tmp_path: Path) -> None:
    filled(path, BATCHES).close()
    other = apsw.Connection(os.fspath(tmp_path / "other.db"))
    other.pragma("journal_mode", "wal")
    other.execute("CREATE TABLE bookmarks(url)")
    other.execute("INSERT INTO bookmarks VALUES (zeroblob(100000))")
    shutil.copy(tmp_path / "other.db-wal", f"{path}-wal")
    other.close()
    store = sound(path)
    assert pictures_in(store, MOST) == set(range(MOST))
    store.close()


# 48: another version


def test_fault_48_newer_index_is_refused_and_not_touched(path: Path) -> None:
    filled(path, 1).close()
    shell(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = path.read_bytes()
    for immutable in (False, True):
        with pytest.raises(StoreNewer, match="newer imgq") as refused:
            Store.open(path, "decoder-1", immutable=immutable)
        assert "update imgq" in refused.value.hint
    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} == {"index.db", "index.db.roots"}


# 49: another writes


def test_fault_49_other_writer_is_waited_for_and_then_named_and_nothing_is_lost(
    path: Path,
) -> None:
    store = filled(path, 2)
    store._database._writer.set_busy_timeout(50)
    other = apsw.Connection(os.fspath(path))
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StoreBusy, match="another process"):
            store.commit(batch(2), 1.0)
        assert batches_in(store) == 2
    again = Store.open(path, "decoder-1")
    assert len(again.rows(b"/r")) == 2 * BATCH - 1
    again.close()
    other.execute("COMMIT")
    # begun before another wrote, it would be BUSY_SNAPSHOT
    with store._database.read():
        other.execute("CREATE TABLE theirs(x)")
        store.commit(batch(2), 1.0)
    assert batches_in(store) == 3
    other.close()
    store.close()


# 50: a year in a minute


@pytest.fixture
def large(path: Path) -> Iterator[Store]:
    store = Store.open(path, "decoder-1")
    store.use_model("large", "large", 1024)
    store.add_root(ROOT.path, ROOT.identity)
    yield store
    store.close()


def put_large(store: Store, first: int, count: int) -> None:
    vectors = np.random.default_rng(first).standard_normal((count, 1024)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    photo = Metadata("PNG", 1, 1)
    numbers = range(first, first + count)
    store.commit(
        [
            Indexed(b"/r/%d" % n, Stamp(n, n, n, n, 1), hash_of(n), True, photo, vector)
            for n, vector in zip(numbers, vectors, strict=True)
        ],
        1.0,
    )


def test_fault_50_churn_leaves_no_holes(large: Store) -> None:
    put_large(large, 0, 1000)
    large.maintain()
    fresh = large.size()
    for turn in range(1, 6):
        large.commit([GoneFolder(b"/r")], 2.0)
        large.forget_orphans(3.0)
        put_large(large, turn * 1000, 1000)
    large.maintain()
    assert large.size() <= 1.5 * fresh
    assert large.counts().files == 1000
    assert large.check() == []


def test_fault_50_log_stays_short_while_a_reader_is_held_open(large: Store, path: Path) -> None:
    log = path.with_name("index.db-wal")
    other = apsw.Connection(os.fspath(path))
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM files").fetchall()
    large._database._writer.set_busy_timeout(50)
    count, told = 0, ""
    while not told:
        try:
            put_large(large, count, 512)
            count += 512
        except StoreBusy as busy:
            told = busy.message
        assert log.stat().st_size <= 64e6
    assert "reads the index" in told
    assert log.stat().st_size > 40e6
    assert large.counts().files == count
    other.close()
    put_large(large, count, 512)
    assert log.stat().st_size < 20e6
    assert large.counts().files == count + 512


if __name__ == "__main__":
    does = {"migrate": migrate, "maintain": maintain, "repair": repair, "renew": renew}
    does[sys.argv[1]](Path(sys.argv[2]))
