"""What the store answers: vectors, files of hits, filters, listings, counts."""

from __future__ import annotations

import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import apsw
import numpy as np
import pytest
import sqlite_vec

from conftest import until
from imgq.errors import StoreError
from imgqd.records import Failed, Failure, GoneFolder, Ignored, Indexed, Metadata, Notes, Stamp
from imgqd.store import Block, Counts, FileLine, Identity, Store, Tally, counting
from imgqd.store.lookup.lookup import distinct
from imgqd.store.vectors import embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PHOTO = Metadata("JPEG", 40, 30, Notes("2024-02-29T12:00:00", "exif", "Leica", "Elmar", 52.1, -4.3))
DISK = Identity(device=1, inode=2, fsid="ext4:1")
DIM = 8


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index with the roots /r and /away, and a model."""
    store = Store.open(tmp_path / "index.db", "decoder-1")
    store.use_model("one", "one", DIM)
    store.add_root(b"/r", DISK)
    store.add_root(b"/away", DISK)
    yield store
    store.close()


def stamp(n: int) -> Stamp:
    return Stamp(n, n, n, n, 1)


def hash_of(n: int) -> bytes:
    return n.to_bytes(16, "big")


def vector(n: int, dim: int = DIM) -> NDArray[np.float32]:
    raw = np.random.default_rng(n).standard_normal(dim).astype(np.float32)
    return raw / np.linalg.norm(raw)


def index(store: Store, *files: tuple[bytes, int]) -> list[int]:
    """Indexes files that show those pictures, and returns the pictures' ids."""
    dim = store.model.dim
    store.commit(
        [Indexed(path, stamp(n), hash_of(n), True, PHOTO, vector(n, dim)) for path, n in files],
        100.0,
    )
    return [id for _, n in files if (id := store.known(hash_of(n))) is not None]


def many(store: Store, count: int) -> list[int]:
    return index(store, *((b"/r/%d/%d.jpg" % (n % 7, n), n) for n in range(count)))


def loaded(store: Store) -> Block:
    blocks = list(store.resident())
    ids = np.concatenate([block.ids for block in blocks])
    vectors = np.concatenate([block.vectors for block in blocks])
    return Block(ids, vectors, [id for block in blocks for id in block.damaged])


def shell(path: Path) -> apsw.Connection:
    """What anyone's SQL shell is: a connection with sqlite-vec."""
    connection = apsw.Connection(str(path))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    return connection


def test_resident_has_every_vector_once_and_equal_to_what_was_stored(store: Store) -> None:
    ids = many(store, 600)
    index(store, (b"/away/copy.jpg", 5))
    store.set_root(b"/away", state="offline")
    block = loaded(store)
    assert sorted(block.ids.tolist()) == sorted(ids)
    assert (block.ids.dtype, block.vectors.dtype, block.vectors.shape) == (
        np.int64,
        np.float32,
        (600, DIM),
    )
    by_id = dict(zip(block.ids.tolist(), block.vectors, strict=True))
    for n, id in enumerate(ids):
        np.testing.assert_array_equal(by_id[id], vector(n))
    assert block.damaged == []


def test_resident_and_vectors_agree_with_what_a_shell_reads(store: Store, tmp_path: Path) -> None:
    many(store, 300)
    store.commit([GoneFolder(b"/r/3")], 100.0)
    rows = shell(tmp_path / "index.db").execute("SELECT picture, embedding FROM embeddings_1")
    asked = dict(rows.fetchall())
    block = loaded(store)
    assert len(asked) == 300
    assert len(block.ids) == len(store.files()) == 300 - 43
    for id, row in zip(block.ids.tolist(), block.vectors, strict=True):
        assert row.tobytes() == asked[id] == store.vectors([id])[id].tobytes()


def test_shell_finds_the_nearest_by_cosine(store: Store, tmp_path: Path) -> None:
    ids = many(store, 50)
    rows = shell(tmp_path / "index.db").execute(
        "SELECT picture FROM embeddings_1 WHERE embedding MATCH ? AND k = 50 ORDER BY distance",
        (vector(1000).tobytes(),),
    )
    scores = np.stack([vector(n) for n in range(50)]) @ vector(1000)
    assert [id for (id,) in rows] == [ids[n] for n in np.argsort(-scores)]


def test_vectors_leaves_out_what_is_not_there(store: Store) -> None:
    [id] = index(store, (b"/r/x", 1))
    assert store.vectors(np.array([id, id + 1])).keys() == {id}
    assert store.vectors([]) == {}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE embeddings_1_vector_chunks00 SET vectors ="
        " CAST(substr(vectors, 1, 32) || x'01' || substr(vectors, 34) AS BLOB)",
        "UPDATE embeddings_1_chunks SET validity = CAST(x'01' || zeroblob(31) AS BLOB)",
        "UPDATE embeddings_1_chunks SET rowids = zeroblob(16)",
        "DELETE FROM embeddings_1_vector_chunks00",
        "DELETE FROM embeddings_1_chunks",
        "DROP TABLE embeddings_1_vector_chunks00",
        "UPDATE embeddings_1_chunks SET rowids = CAST(rowids AS TEXT)",
        "UPDATE pictures SET hash = x'00112233445566778899aabbccddeeff' WHERE id = 2",
    ],
)
def test_damaged_vectors_are_named_and_can_be_made_again(
    store: Store, tmp_path: Path, damage: str
) -> None:
    ids = index(store, (b"/r/x", 1), (b"/r/y", 2))
    shell(tmp_path / "index.db").execute(damage)
    block = loaded(store)
    assert ids[1] in block.damaged
    assert sorted(block.ids.tolist() + block.damaged) == ids
    assert all(row.tobytes() == vector(1).tobytes() for row in block.vectors)


@pytest.mark.parametrize("block", [1, 64])
def test_vector_that_the_table_holds_twice_is_given_once(
    store: Store, tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "BLOCK", block)
    ids = index(store, (b"/r/x", 1), (b"/r/y", 2))
    connection = shell(tmp_path / "index.db")
    for table in (
        "embeddings_1_chunks(size, validity, rowids)",
        "embeddings_1_vector_chunks00(vectors)",
    ):
        name, columns = table.rstrip(")").split("(")
        key = "NULL" if name.endswith("_chunks") else "2"
        connection.execute(f"INSERT INTO {name} SELECT {key}, {columns} FROM {name}")
    found = loaded(store)
    assert (sorted(found.ids.tolist()), found.damaged) == (ids, [])


def test_forgotten_embedding_is_pending_until_it_is_made_again(store: Store) -> None:
    [id] = index(store, (b"/r/x", 1))
    store.forget_embeddings([id])
    assert store.known(hash_of(1)) is None
    assert store.rows(b"/r")[b"x"].state == "pending"
    assert (store.counts().files, store.counts().pending) == (0, 1)
    assert index(store, (b"/r/x", 1)) == [id]
    assert loaded(store).ids.tolist() == [id]


def test_reindexed_picture_answers_until_it_is_embedded_again(store: Store) -> None:
    ids = index(store, (b"/r/a/x", 1), (b"/r/a/y", 2), (b"/r/ab/z", 3))
    assert store.reindex([b"/r/a"]) == 2
    assert [store.known(hash_of(n)) for n in (1, 2, 3)] == [None, None, ids[2]]
    assert sorted(loaded(store).ids.tolist()) == ids
    assert store.counts() == Counts(files=1, pending=2, pictures=3)
    again = Indexed(b"/r/a/x", stamp(1), hash_of(1), True, PHOTO, vector(50))
    assert [added.picture for added in store.commit([again], 100.0).added] == [ids[0]]
    np.testing.assert_array_equal(store.vectors([ids[0]])[ids[0]], vector(50))
    assert store.known(hash_of(1)) == ids[0]
    assert store.reindex([b"/r/ab/z"]) == 1
    assert store.reindex() == 3
    assert loaded(store).damaged == []


def test_untrusted_files_are_those_at_and_under_the_paths(store: Store) -> None:
    index(store, (b"/r/a/x", 1), (b"/r/ab/y", 2), (b"/r/z", 3))
    assert store.mark_untrusted([b"/r/a", b"/r/z"]) == 2
    assert not store.rows(b"/r/a")[b"x"].trusted
    assert store.rows(b"/r/ab")[b"y"].trusted
    assert store.mark_untrusted() == 3


def test_vectors_know_their_model(store: Store) -> None:
    [id] = index(store, (b"/r/x", 1))
    store.use_model("two", "two", 4)
    assert store.known(hash_of(1)) is None
    assert store.counts() == Counts(pending=1, pictures=1)
    again = Indexed(b"/r/x", stamp(1), hash_of(1))
    assert store.commit([again], 100.0).again == [b"/r/x"]
    assert index(store, (b"/r/x", 1)) == [id]
    assert loaded(store).vectors.shape == (1, 4)
    store.reindex()
    store.use_model("one", "one", DIM)
    assert store.known(hash_of(1)) == id
    np.testing.assert_array_equal(store.vectors([id])[id], vector(1))
    with pytest.raises(ValueError, match="length 8, not 9"):
        store.use_model("one", "one", 9)


def test_nothing_is_embedded_before_the_model_is_known(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "index.db", "decoder-1")
    store.add_root(b"/r", DISK)
    store.commit([Ignored(b"/r/x", stamp(1))], 100.0)
    with pytest.raises(StoreError, match="model"):
        index(store, (b"/r/y", 1))
    assert store.counts() == Counts(ignored=1)
    store.close()


def test_holes_are_filled_and_given_back(store: Store, tmp_path: Path) -> None:
    ids = many(store, 2000)
    store.maintain()
    before = store.size()
    store.commit([GoneFolder(b"/r/%d" % n) for n in range(5)], 200.0)
    forgotten = store.forget_orphans(300.0)
    assert len(forgotten) > 1400
    store.maintain()
    chunks = "SELECT count(*) FROM embeddings_1_chunks"
    assert shell(tmp_path / "index.db").execute(chunks).get <= 4
    assert store.size() < before * 0.7
    block = loaded(store)
    assert sorted(block.ids.tolist()) == sorted(set(ids) - set(forgotten))
    assert block.damaged == []


def test_files_of_hits_come_with_all_a_hit_needs(store: Store) -> None:
    first, second = index(store, (b"/r/x", 1), (b"/r/y", 2))
    index(store, (b"/away/x", 1), (b"/r/a", 1))
    store.set_root(b"/away", state="offline")
    found = store.files_of([second, first, 999])
    assert found.keys() == {first, second}
    assert [(shown.path, shown.offline) for shown in found[first]] == [
        (b"/away/x", True),
        (b"/r/a", False),
        (b"/r/x", False),
    ]
    [shown] = found[second]
    assert (shown.stamp, shown.picture.hash, shown.picture.metadata) == (
        stamp(2),
        hash_of(2),
        PHOTO,
    )


def test_filter_is_by_file(store: Store) -> None:
    one, two, three = index(store, (b"/r/a/x", 1), (b"/r/ab/y", 2), (b"/away/z", 3))
    index(store, (b"/away/copy", 1))
    store.commit([Ignored(b"/r/a/text", stamp(9))], 100.0)
    store.set_root(b"/away", state="offline")
    assert store.showing(None).tolist() == [one, two]
    assert store.showing(None, offline=True).tolist() == [one, two, three]
    assert store.showing(b"/r/a").tolist() == [one]
    assert store.showing(b"/away").tolist() == []
    assert store.showing(b"/away", offline=True).tolist() == [one, three]
    assert store.showing(b"/r/nowhere").dtype == np.int64


def test_counts_are_disjoint(store: Store) -> None:
    index(store, (b"/r/x", 1), (b"/r/copy", 1), (b"/r/y", 2), (b"/away/z", 3))
    store.commit(
        [
            Ignored(b"/r/text", stamp(4)),
            Failed(b"/r/broken", stamp(5), Failure("damaged", "broken")),
            Failed(b"/away/broken", stamp(6), Failure("unreadable", "no permission")),
        ],
        100.0,
    )
    store.set_root(b"/away", state="offline")
    store.reindex([b"/r/y", b"/away"])
    assert store.root_counts() == {
        b"/r": Tally(files=2, pending=1, failed=1, ignored=1),
        b"/away": Tally(failed=1, offline=1),
    }
    counts = Counts(files=2, pending=1, failed=2, offline=1, ignored=1, pictures=3)
    assert store.counts() == counts


def test_counts_follow_every_commit_and_model(store: Store) -> None:
    for n in range(3):
        index(store, (b"/r/%d" % n, n))
        assert store.counts().files == n + 1
        assert store.root_counts()[b"/r"].files == n + 1
    store.set_root(b"/r", state="offline")
    assert store.counts() == Counts(offline=3, pictures=3)
    store.set_root(b"/r", state="online")
    store.use_model("two", "two", 4)
    assert store.counts() == Counts(pending=3, pictures=3)
    store.use_model("one", "one", DIM)
    assert store.counts() == Counts(files=3, pictures=3)


def test_who_asks_for_counts_at_once_has_them_counted_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(store, (b"/r/x", 1))
    tallies, go, times = counting._tallies, threading.Event(), []

    def slow(connection: apsw.Connection, model: int | None) -> dict[bytes, Tally]:
        times.append(model)
        go.wait(60)
        return tallies(connection, model)

    monkeypatch.setattr(counting, "_tallies", slow)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(store.counts) for _ in range(6)]
        try:
            until(lambda: sum(map(_is_counting, pool._threads)) == 6, "all to count")
        finally:
            go.set()
        assert {each.result().files for each in asked} == {1}
    assert len(times) == 1


def test_what_was_counted_for_one_who_waited_holds_for_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit meanwhile is counted, too."""
    index(store, (b"/r/x", 1))
    tallies, times = counting._tallies, []

    def counted(connection: apsw.Connection, model: int | None) -> dict[bytes, Tally]:
        times.append(model)
        return tallies(connection, model)

    monkeypatch.setattr(counting, "_tallies", counted)
    with ThreadPoolExecutor(1) as pool:
        with store._counting:
            asked = pool.submit(store.counts)
            until(lambda: all(map(_is_counting, pool._threads)), "one to wait")
            index(store, (b"/r/y", 2))
        assert asked.result(60).files == 2
    assert (store.counts().files, len(times)) == (2, 1)


def _is_counting(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return any(each.f_code.co_name == "_count" for each, _ in traceback.walk_stack(frame))


def test_listings_come_in_pages_without_a_gap(store: Store) -> None:
    many(store, 25)
    store.commit(
        [Failed(b"/r/e/%d" % n, stamp(n), Failure("damaged", "broken")) for n in range(25)], 100.0
    )
    files, errors, exported = [], [], []
    after = 0
    while page := store.files(after, 10):
        files += page
        after = page[-1].file
    lines = [*store.lines(0, 10), *store.lines(files[9].file, 10), *store.lines(files[19].file, 10)]
    assert lines == [
        FileLine(
            file.file,
            file.path,
            file.offline,
            file.stamp.size,
            file.stamp.mtime_ns,
            file.picture.hash,
        )
        for file in files
    ]
    after = 0
    while failing := store.errors(after, 10):
        errors += failing
        after = failing[-1].file
    after = 0
    while batch := store.export(after, 10):
        exported += batch
        after = batch[-1].shown.file
    assert sorted(file.path for file in files) == sorted(
        b"/r/%d/%d.jpg" % (n % 7, n) for n in range(25)
    )
    assert sorted(entry.path for entry in errors) == sorted(b"/r/e/%d" % n for n in range(25))
    assert [entry.shown for entry in exported] == files
    for entry in exported:
        n = int.from_bytes(entry.shown.picture.hash)
        np.testing.assert_array_equal(entry.vector, vector(n))


def test_info_tells_all_that_is_known(store: Store) -> None:
    [id] = index(store, (b"/r/x", 1))
    index(store, (b"/away/copy", 1))
    broken = Failed(b"/r/broken", stamp(5), Failure("damaged", "broken"), hash_of(5))
    store.commit([broken], 100.0)
    info = store.info(b"/r/x")
    assert info is not None
    assert info.picture is not None
    assert (info.picture.id, info.copies) == (id, [b"/away/copy"])
    assert info.row.state == "indexed"
    failed = store.info(b"/r/broken")
    assert failed is not None
    assert failed.row.ledger is not None
    assert (failed.picture, failed.row.ledger.failure) == (None, Failure("damaged", "broken"))
    assert store.info(b"/r/none") is None


@pytest.mark.parametrize("ids", [[], [3], [5, 5, 1, 9, 1], [-(1 << 62), 7, 7]])
def test_distinct_ids_are_those_that_a_set_has(ids: list[int]) -> None:
    assert distinct(np.array(ids, np.int64)).tolist() == sorted(set(ids))
