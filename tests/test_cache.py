"""The cache beside the index: used where it is right, and never believed where it is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import World
from conftest import until
from imgqd.index import Index
from imgqd.records import Embedded, Gone, Indexed, Metadata, Stamp
from imgqd.search import cache, segment, segment_writing
from imgqd.search.care import Care
from imgqd.search.loading import loaded
from imgqd.search.rank import nearest
from imgqd.search.resident import Snapshot
from imgqd.search.selftest import SelfTest
from imgqd.store import Identity, Store

DIM = 128
COUNT = 1500
PHOTO = Metadata("JPEG", 40, 30)
STAMP = Stamp(10, 10**18, 10**18, 7, 1)
WORLD = World(DIM)
VECTORS = WORLD.pictures(COUNT + 500)
QUERIES = np.concatenate([WORLD.texts(3), WORLD.likes(VECTORS, 3)])

Hits = list[list[tuple[int, float]]]


def hash_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def shown(number: int) -> Indexed:
    path = b"/r/%d.jpg" % number
    return Indexed(path, STAMP, hash_of(number), True, PHOTO, VECTORS[number])


def opened(folder: Path, model: str = "model") -> Store:
    store = Store.open(folder / "index.db", "decoder-1")
    store.use_model(model, model, DIM)
    return store


def answers(index: Index) -> Hits:
    return [nearest(index.resident.snapshot(), query, 10) for query in QUERIES]


def expected(store: Store) -> Hits:
    """The same by a sort of what the store has."""
    blocks = list(store.resident())
    ids = np.concatenate([block.ids for block in blocks])
    vectors = np.concatenate([block.vectors for block in blocks]).astype(np.float64)
    found = []
    for query in QUERIES:
        scores = (vectors @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((ids, -scores))[:10]
        found.append(list(zip(ids[order].tolist(), scores[order].tolist(), strict=True)))
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few pictures have a cache, and a prefix that looks deep enough to be exact."""
    monkeypatch.setattr(cache, "LEAST", 100)
    monkeypatch.setattr("imgqd.search.resident._PREFIXED", 1024)
    monkeypatch.setattr("imgqd.search.resident.DEEP", 2)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of COUNT pictures."""
    folder = tmp_path_factory.mktemp("library")
    store = opened(folder)
    store.add_root(b"/r", Identity(1, 2, "ext4:1"))
    for start in range(0, COUNT, 500):
        store.commit([shown(number) for number in range(start, start + 500)], 1.0)
    store.close()
    return (folder / "index.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path, library: bytes) -> Iterator[Store]:
    (tmp_path / "index.db").write_bytes(library)
    store = opened(tmp_path)
    yield store
    store.close()


@pytest.fixture
def path(store: Store) -> Path:
    """A cache of the store as it is."""
    resident = loaded(store)
    resident.refine()
    assert resident.snapshot().prefix
    assert cache.save(store, resident.snapshot(), store.sums())
    return cache.path_of(store.path)


def test_it_is_as_the_store(store: Store, path: Path) -> None:
    index = Index(store, loaded(store))
    snapshot = index.resident.snapshot()
    assert len(snapshot.vectors.tail) == 0
    assert snapshot.prefix
    assert snapshot.prefix.count == COUNT
    assert answers(index) == expected(store)
    assert index.strays() == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_goes_on_as_if_it_had_been_made_anew(store: Store, path: Path) -> None:
    index = Index(store, loaded(store))
    index.commit([shown(number) for number in range(COUNT, COUNT + 500)])
    index.commit([Gone(b"/r/%d.jpg" % number) for number in range(0, 1100)])
    index.commit([shown(number) for number in range(5)])
    index.resident.refine()
    assert answers(index) == expected(store)
    assert index.strays() == 0


def test_a_prefix_is_made_of_what_is_there_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has no vectors of what was dead when it was written."""
    monkeypatch.setattr("imgqd.search.resident._PREFIXED", COUNT + 100)
    index = Index(store, loaded(store))
    index.commit([Gone(b"/r/%d.jpg" % number) for number in range(0, 300)])
    snapshot = index.resident.snapshot()
    written = cache.save(store, snapshot, store.sums())
    assert written
    assert index.resident.rely_on(written, snapshot)
    index.commit([shown(number) for number in range(COUNT, COUNT + 500)])
    index.resident.refine()
    prefix = index.resident.snapshot().prefix
    assert prefix
    assert np.isfinite(prefix.directions.axes).all()
    assert answers(index) == expected(store)


def test_what_changed_since_it_was_written_comes_out_of_the_store(store: Store, path: Path) -> None:
    store.commit([Gone(b"/r/%d.jpg" % number) for number in range(0, 40)], 2.0)
    store.commit([shown(number) for number in range(COUNT, COUNT + 30)], 2.0)
    again = [Embedded(hash_of(number), PHOTO, VECTORS[number + 1]) for number in range(50, 60)]
    store.commit(again, 2.0)
    index = Index(store, loaded(store))
    assert len(index.resident.snapshot().vectors.tail) > 0
    assert answers(index) == expected(store)
    assert index.strays() == 0


def test_where_much_has_changed_all_is_read_anew(store: Store, path: Path) -> None:
    store.commit([shown(number) for number in range(COUNT, COUNT + 400)], 2.0)
    index = Index(store, loaded(store))
    assert index.resident.snapshot().vectors.file is None
    assert answers(index) == expected(store)


def folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def unreadable(path: Path) -> None:
    head = path.read_bytes()
    path.write_bytes(head[: len(segment.MAGIC)] + b"\xff" * 16 + head[len(segment.MAGIC) + 16 :])


SPOILS: dict[str, Callable[[Path], Any]] = {
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no cache at all\n" * 1000),
    "header alone": lambda path: os.truncate(path, segment.HEADER),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a byte short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "a byte long": lambda path: os.truncate(path, path.stat().st_size + 1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "header of no text": unreadable,
    "folder": folder_of,
    "fifo": fifo,
    "link": link,
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_file_that_is_none_is_passed_over(store: Store, path: Path, spoil: str) -> None:
    SPOILS[spoil](path)
    index = Index(store, loaded(store))
    assert index.resident.snapshot().vectors.file is None
    assert answers(index) == expected(store)


def test_no_flipped_bit_makes_a_wrong_answer(store: Store, path: Path) -> None:
    """Anywhere in the file: in what is read at the start, or in the vectors."""
    data, right = path.read_bytes(), expected(store)
    dice = np.random.default_rng(0)
    for place in [*dice.integers(0, len(data), 20).tolist(), 3, 20, 200, segment.HEADER + 5]:
        path.write_bytes(flipped(data, place))
        assert answers(Index(store, loaded(store))) == right, place


@pytest.mark.parametrize("section", ["ids", "sums", "steps", "codes", "mean", "axes", "along"])
def test_one_flipped_bit_of_what_is_in_memory_is_too_many(
    store: Store, path: Path, section: str
) -> None:
    shape = segment_writing.shape_of(segment_snapshot(store))
    start, _, _ = shape.layout(DIM)[section]
    path.write_bytes(flipped(path.read_bytes(), start + 9))
    assert loaded(store).snapshot().vectors.file is None


def segment_snapshot(store: Store) -> Snapshot:
    """As the cache of the store was written."""
    resident = loaded(store)
    resident.refine()
    return resident.snapshot()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def test_vectors_that_are_lost_while_it_runs_come_out_of_the_store(
    store: Store, path: Path
) -> None:
    index, right = Index(store, loaded(store)), expected(store)
    with open(path, "r+b") as file:
        start = path.stat().st_size - COUNT * (16 + 4 * DIM)
        file.seek(start)
        file.write(os.urandom(COUNT * (16 + 4 * DIM)))
    assert answers(index) == right
    assert len(index.resident.snapshot().vectors.tail) > 0
    assert answers(index) == right


@pytest.mark.parametrize("length", [0, 9000, 400_000])
def test_a_file_that_is_cut_while_it_runs_ends_nobody(
    store: Store, path: Path, length: int
) -> None:
    index, right = Index(store, loaded(store)), expected(store)
    os.truncate(path, length)
    assert answers(index) == right
    assert index.strays() > 0
    index.repair()
    assert index.strays() == 0
    assert answers(index) == right


def test_what_the_store_has_lost_too_is_not_found(store: Store, path: Path) -> None:
    index = Index(store, loaded(store))
    best = [hits[0][0] for hits in expected(store)]
    store.forget_embeddings(best)
    os.truncate(path, 9000)
    assert answers(index) == expected(store)


def test_the_two_ways_to_ask_for_checksums_agree(store: Store) -> None:
    store.commit([Gone(b"/r/%d.jpg" % number) for number in (3, 700)], 2.0)
    known, (pictures, checksums) = store.sums(), store.checksums()
    assert pictures.tolist() == known["picture"].tolist()
    assert checksums.tolist() == known["checksum"].tolist()
    assert len(pictures) == COUNT - 2


def test_what_a_folder_shows_is_up_to_date(store: Store) -> None:
    """Whatever is kept of it from before."""
    assert len(store.showing(b"/r")) == len(store.showing(None)) == COUNT
    store.commit([Gone(b"/r/3.jpg")], 2.0)
    assert len(store.showing(b"/r")) == len(store.showing(None)) == COUNT - 1
    store.set_root(b"/r", state="offline")
    assert len(store.showing(b"/r")) == len(store.showing(None)) == 0
    assert len(store.showing(b"/r", offline=True)) == COUNT - 1


def test_another_models_is_none(store: Store, path: Path, tmp_path: Path) -> None:
    store.close()
    other = opened(tmp_path, "other")
    other.commit([Embedded(hash_of(n), PHOTO, VECTORS[n + 7]) for n in range(COUNT)], 3.0)
    index = Index(other, loaded(other))
    assert index.resident.snapshot().vectors.file is None
    assert answers(index) == expected(other)
    other.close()


def test_another_indexs_is_none(store: Store, path: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = opened(tmp_path / "b")
    other.add_root(b"/r", Identity(1, 2, "ext4:1"))
    for start in range(0, COUNT, 500):
        other.commit([shown(number) for number in range(start, start + 500)], 1.0)
    path.rename(cache.path_of(other.path))
    index = Index(other, loaded(other))
    assert index.resident.snapshot().vectors.file is None
    assert answers(index) == expected(other)
    other.close()


WRITER = """
import sys
from pathlib import Path
import test_cache
from imgqd.search.loading import loaded
from imgqd.search import cache
store = test_cache.opened(Path(sys.argv[1]))
resident = loaded(store)
while True:
    assert cache.save(store, resident.snapshot(), store.sums())
    print(flush=True)
"""


def test_killed_while_it_is_written_it_is_the_old_or_the_new_one(
    store: Store, path: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for number in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout
        writer.stdout.readline()
        beside = segment_writing.unfinished(path)
        until(lambda: beside.exists() and beside.stat().st_size > number * 200_000)  # noqa: B023
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        index = Index(store, loaded(store))
        assert index.resident.snapshot().vectors.file
        assert answers(index) == expected(store)
        assert not beside.exists()


def test_a_full_disk_has_none(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resident, before = loaded(store), path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        assert cache.save(store, resident.snapshot(), store.sums()) is None
    assert "No space left" in caplog.text
    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=100, f_frsize=4096))
        assert cache.save(store, resident.snapshot(), store.sums()) is None
    assert path.read_bytes() == before
    assert not segment_writing.unfinished(path).exists()


def test_it_is_written_soon_where_it_is_never_calm(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgqd.search.care.CALM_S", 900.0)
    monkeypatch.setattr("imgqd.search.care.FIRST_IMPATIENCE_S", 0.0)
    care = Care(Index(store, loaded(store)), SelfTest())
    care.start()
    until(cache.path_of(store.path).exists)
    care.stop()


def test_it_is_written_in_a_calm_moment_and_memory_given_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgqd.search.care.CALM_S", 0.05)
    index = Index(store, loaded(store))
    care = Care(index, SelfTest())
    care.start()
    until(cache.path_of(store.path).exists)
    until(lambda: len(index.resident.snapshot().vectors.tail) == 0)
    assert answers(index) == expected(store)
    first = cache.path_of(store.path).stat().st_ino
    index.commit([shown(number) for number in range(COUNT, COUNT + 400)])
    until(lambda: cache.path_of(store.path).stat().st_ino != first)
    index.commit([Gone(b"/r/3.jpg")])
    care.stop()
    assert answers(index) == expected(store)
    assert index.strays() == 0
    assert loaded(store).snapshot().vectors.file
