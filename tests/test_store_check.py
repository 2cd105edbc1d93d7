"""The store held against itself: every damage is found, and what can be derived is made again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import apsw
import pytest

from batches import ROOT, hash_of, indexed, opened, pictures_in, shell, vector
from imgq.errors import StoreDamaged
from imgqd.records import Failed, Failure, Gone, GoneFolder, Ignored, Stamp
from imgqd.store import Identity, Root, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 600  # pictures, in three chunks
ORPHANS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a store may hold: some of each, and holes in the chunks."""
    folder = tmp_path_factory.mktemp("made")
    store = opened(folder / "index.db")
    store.add_root(b"/r/inner", Identity(7, 7, "x"))
    store.commit([indexed(n, path_of(n)) for n in range(COUNT)], 100.0)
    store.commit(
        [
            Ignored(b"/r/note", Stamp(1, 1, 1, 1, 1)),
            Failed(b"/r/broken", Stamp(2, 2, 2, 2, 1), Failure("damaged", "broken")),
            *(Gone(path_of(n)) for n in range(ORPHANS)),
        ],
        200.0,
    )
    holes = [id for n in range(300, 320) if (id := store.known(hash_of(n))) is not None]
    store.forget_embeddings(holes)
    store.commit([indexed(n, path_of(n)) for n in range(310, 320)], 300.0)
    store.use_model("other", "other", 4)
    store.close()
    return folder


@pytest.fixture
def store(made: Path, path: Path) -> Iterator[Store]:
    shutil.copytree(made, path.parent, dirs_exist_ok=True)
    store = opened(path)
    yield store
    store.close()


PENDING = set(range(300, 310))
ALL = set(range(COUNT)) - PENDING


def path_of(n: int) -> bytes:
    return b"/r/%s%d" % (b"inner/" if n % 5 == 0 else b"", n)


def files_of(store: Store) -> set[bytes]:
    return {shown.path for shown in store.files(0, 10_000)}


def accounted(store: Store) -> None:
    """Every picture that a file shows has its vector, or is named as one that has none."""
    blocks = list(store.resident())
    found = [id for block in blocks for id in [*block.ids.tolist(), *block.damaged]]
    shown = ALL - set(range(ORPHANS))
    assert len(found) == len(set(found)) == len(shown)
    right = {n + 1: vector(n).tobytes() for n in range(COUNT)}
    for block in blocks:
        for id, row in zip(block.ids.tolist(), block.vectors, strict=True):
            assert row.tobytes() == right[id]


T = "embeddings_1"
# each with how many vectors are lost with it: in no other place is there a sound copy
MUTATIONS: dict[str, tuple[str, int | None]] = {
    "a row of rowids is deleted": (f"DELETE FROM {T}_rowids WHERE rowid = 50", 0),
    "all rows of rowids are deleted": (f"DELETE FROM {T}_rowids", 0),
    "a row of rowids is too many": (f"INSERT INTO {T}_rowids VALUES (9999, NULL, 1, 5)", 0),
    "a row of rowids has a name": (f"UPDATE {T}_rowids SET id = 'x' WHERE rowid = 50", 0),
    "a row has another chunk": (f"UPDATE {T}_rowids SET chunk_id = 2 WHERE rowid = 50", 0),
    "a row has no chunk": (f"UPDATE {T}_rowids SET chunk_id = NULL WHERE rowid = 50", 0),
    "a row has a chunk that is none": (f"UPDATE {T}_rowids SET chunk_id = 99 WHERE rowid = 50", 0),
    "a row has another place": (f"UPDATE {T}_rowids SET chunk_offset = 7 WHERE rowid = 50", 0),
    "rows change places": (
        f"UPDATE {T}_rowids SET chunk_offset = 101 - chunk_offset WHERE rowid IN (51, 52)",
        0,
    ),
    "a row has a place beyond the end": (
        f"UPDATE {T}_rowids SET chunk_offset = 5000 WHERE rowid = 50",
        0,
    ),
    "all rows are shifted": (f"UPDATE {T}_rowids SET chunk_offset = chunk_offset + 1", 0),
    "a validity bit is cleared": (
        f"UPDATE {T}_chunks SET validity = CAST(x'fe' || substr(validity, 2) AS BLOB)"
        " WHERE chunk_id = 1",
        0,
    ),
    "all validity bits are cleared": (f"UPDATE {T}_chunks SET validity = zeroblob(32)", 0),
    "validity bits are set": (
        f"UPDATE {T}_chunks SET validity ="
        " CAST(substr(validity, 1, 31) || x'ff' AS BLOB) WHERE chunk_id = 3",
        0,
    ),
    "validity is cut": (f"UPDATE {T}_chunks SET validity = x'ff' WHERE chunk_id = 1", 0),
    "validity is text": (f"UPDATE {T}_chunks SET validity = 'x' WHERE chunk_id = 1", 0),
    "rowids of a chunk are cut": (
        f"UPDATE {T}_chunks SET rowids = substr(rowids, 1, 100) WHERE chunk_id = 1",
        0,
    ),
    "rowids of a chunk change places": (
        f"UPDATE {T}_chunks SET rowids = CAST(substr(rowids, 9, 8) || substr(rowids, 1, 8)"
        " || substr(rowids, 17) AS BLOB) WHERE chunk_id = 1",
        0,
    ),
    "rowids of a chunk are zeroed": (
        f"UPDATE {T}_chunks SET rowids = zeroblob(2048) WHERE chunk_id = 2",
        0,
    ),
    "rowids of a chunk are another's": (
        f"UPDATE {T}_chunks SET rowids = (SELECT rowids FROM {T}_chunks WHERE chunk_id = 1)"
        " WHERE chunk_id = 2",
        0,
    ),
    "a chunk has another size": (f"UPDATE {T}_chunks SET size = 128 WHERE chunk_id = 1", 0),
    "a chunk has another number": (f"UPDATE {T}_chunks SET chunk_id = 9 WHERE chunk_id = 1", 0),
    "a chunk is missing": (f"DELETE FROM {T}_chunks WHERE chunk_id = 2", 0),
    "all chunks are missing": (f"DELETE FROM {T}_chunks", 0),
    "a chunk is there twice": (
        f"INSERT INTO {T}_chunks SELECT NULL, size, validity, rowids FROM {T}_chunks LIMIT 1",
        0,
    ),
    "vectors of a chunk are missing": (f"DELETE FROM {T}_vector_chunks00 WHERE rowid = 1", 256),
    "vectors of a chunk are there twice": (
        f"INSERT INTO {T}_vector_chunks00 SELECT 77, vectors FROM {T}_vector_chunks00 LIMIT 1",
        0,
    ),
    "vectors have another number": (
        f"UPDATE {T}_vector_chunks00 SET rowid = 77 WHERE rowid = 1",
        0,
    ),
    "vectors have another row": (f"UPDATE {T}_vector_chunks00 SET _rowid_ = _rowid_ + 10", 0),
    "vectors of two chunks are exchanged": (
        f"UPDATE {T}_vector_chunks00 SET vectors = (SELECT vectors FROM {T}_vector_chunks00 other"
        f" WHERE other.rowid = 3 - {T}_vector_chunks00.rowid) WHERE rowid < 3",
        256,
    ),
    "vectors are cut": (
        f"UPDATE {T}_vector_chunks00 SET vectors = substr(vectors, 1, 3200) WHERE rowid = 1",
        156,
    ),
    "vectors are empty": (
        f"UPDATE {T}_vector_chunks00 SET vectors = x'' WHERE rowid = 1",
        256,
    ),
    "vectors are text": (f"UPDATE {T}_vector_chunks00 SET vectors = 'x' WHERE rowid = 1", 256),
    "a vector is zeroed": (
        f"UPDATE {T}_vector_chunks00 SET vectors = CAST(substr(vectors, 1, 64) || zeroblob(32)"
        " || substr(vectors, 97) AS BLOB) WHERE rowid = 1",
        1,
    ),
    "two vectors change places": (
        f"UPDATE {T}_vector_chunks00 SET vectors = CAST(substr(vectors, 33, 32)"
        " || substr(vectors, 1, 32) || substr(vectors, 65) AS BLOB) WHERE rowid = 1",
        2,
    ),
    "all vectors are shifted": (
        f"UPDATE {T}_vector_chunks00 SET vectors ="
        " CAST(substr(vectors, 33) || zeroblob(32) AS BLOB)",
        None,
    ),
    "vec0 does not know its version": (f"DELETE FROM {T}_info", 0),
    "part of the version is gone": (f"UPDATE {T}_info SET value = NULL WHERE rowid = 2", 0),
    "the table of versions is missing": (f"DROP TABLE {T}_info", 0),
    "the table of chunks is missing": (f"DROP TABLE {T}_chunks", 0),
    "the table of rowids is missing": (f"DROP TABLE {T}_rowids", 0),
    "the table of vectors is missing": (f"DROP TABLE {T}_vector_chunks00", len(ALL)),
    "the table itself is missing": (f"DROP TABLE {T}", len(ALL)),
    "a column is missing": (f"ALTER TABLE {T}_rowids DROP COLUMN chunk_offset", 0),
    "a checksum is wrong": ("UPDATE embedding_sums SET checksum = 5 WHERE picture = 50", 1),
    "a checksum is text": ("UPDATE embedding_sums SET checksum = 'x' WHERE picture = 50", 1),
    "a checksum is missing": ("DELETE FROM embedding_sums WHERE picture = 50", None),
    "a hash is wrong": ("UPDATE pictures SET hash = zeroblob(15) || x'ff' WHERE id = 50", None),
    "a hash is text": ("UPDATE pictures SET hash = 'x' WHERE id = 50", None),
}


def test_fault_46_sound_store_has_no_fault(store: Store) -> None:
    assert store.check() == []
    accounted(store)
    store.maintain()
    assert store.check() == []
    store.renew()
    assert store.check() == []


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_fault_46_mutation_of_the_vectors_is_found_and_repaired(
    store: Store, path: Path, mutation: str
) -> None:
    statement, lost = MUTATIONS[mutation]
    shell(path, statement)
    faults = store.check()
    assert {fault.code for fault in faults} == {"vectors"}
    if mutation not in ("a checksum is missing", "a hash is wrong", "a hash is text"):
        accounted(store)
    store.repair()
    assert store.check() == []
    left = pictures_in(store, COUNT)
    assert left <= ALL
    if lost is not None:
        assert len(left) == len(ALL) - lost
    store.commit([indexed(n, path_of(n)) for n in range(ORPHANS, COUNT)], 400.0)
    assert store.check() == []
    assert pictures_in(store, COUNT) >= set(range(ORPHANS, COUNT)) - {49}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_fault_46_mutation_costs_no_start(store: Store, path: Path, mutation: str) -> None:
    """What the daemon does with it: forgets what is not sound, and indexes on."""
    shell(path, MUTATIONS[mutation][0])
    again = opened(path)
    again.forget_embeddings([id for block in again.resident() for id in block.damaged])
    if mutation not in ("a checksum is missing", "a hash is wrong", "a hash is text"):
        shown = ALL - set(range(ORPHANS))
        counts = again.counts()
        assert counts.files == sum(len(block.ids) for block in again.resident())
        assert counts.files + counts.pending == len(shown) + len(PENDING)
    try:
        again.commit([indexed(n, path_of(n)) for n in range(ORPHANS, COUNT)], 400.0)
    except StoreDamaged:
        again.repair()
        again.commit([indexed(n, path_of(n)) for n in range(ORPHANS, COUNT)], 400.0)
    again.repair()
    assert again.check() == []
    again.close()


@pytest.mark.parametrize("seed", range(12))
def test_fault_47_flipped_bit_is_found(store: Store, path: Path, seed: int) -> None:
    bit = seed * 5477 % (256 * 8 * 4 * 8)
    byte, flip = bit // 8 + 1, 1 << bit % 8
    [(before,)] = shell(
        path, f"SELECT hex(substr(vectors, {byte}, 1)) FROM {T}_vector_chunks00 WHERE rowid = 1"
    )
    after = int(str(before), 16) ^ flip
    shell(
        path,
        f"UPDATE {T}_vector_chunks00 SET vectors = CAST(substr(vectors, 1, {byte - 1})"
        f" || x'{after:02x}' || substr(vectors, {byte + 1}) AS BLOB) WHERE rowid = 1",
    )
    [fault] = store.check()
    assert (fault.code, fault.message) == ("vectors", "1 pictures have no sound vector of one")
    accounted(store)
    store.repair()
    assert store.check() == []
    assert len(pictures_in(store, COUNT)) == len(ALL) - 1


ROWS = {
    "a picture that is shown counts as an orphan": (
        "UPDATE pictures SET orphaned_at = 5 WHERE id = 50",
        "orphans",
    ),
    "an orphan counts as shown": ("UPDATE pictures SET orphaned_at = NULL", "orphans"),
    "a folder is empty": ("INSERT INTO folders(path, root) VALUES (x'2f722f78', 1)", "folders"),
    "a folder is of another root": ("UPDATE folders SET root = 1", "roots"),
    "a folder is of no root": ("UPDATE folders SET root = 99", "dangling"),
    "a root is gone": ("DELETE FROM roots WHERE id = 2", "dangling"),
    "all roots are gone": ("DELETE FROM roots", "dangling"),
    "a folder is gone": ("DELETE FROM folders WHERE path = x'2f722f696e6e6572'", "dangling"),
    "a picture is gone": ("DELETE FROM pictures WHERE id = 50", "dangling"),
    "a file is gone": ("DELETE FROM files WHERE id IN (SELECT file FROM failures)", "dangling"),
    "a model is gone": ("DELETE FROM models WHERE id = 1", "dangling"),
    "a file has a picture and a failure": (
        "UPDATE files SET picture = 50 WHERE id IN (SELECT file FROM failures)",
        "failures",
    ),
    "a root is another": ("UPDATE roots SET fsid = 'other' WHERE id = 1", "roots"),
}


@pytest.mark.parametrize("mutation", ROWS)
def test_row_that_contradicts_another_is_found_and_mended(
    store: Store, path: Path, mutation: str
) -> None:
    statement, code = ROWS[mutation]
    before = files_of(store)
    shell(path, statement)
    faults = store.check()
    assert code in {fault.code for fault in faults}
    roots = [ROOT.path, b"/r/inner"]
    store.repair()
    assert store.check() == []
    assert files_of(store) <= before
    assert [root.path for root in store.roots()] == roots
    store.commit([indexed(n, path_of(n)) for n in range(ORPHANS, COUNT)], 400.0)
    assert store.check() == []


def test_folder_that_no_root_is_over_goes(store: Store, path: Path) -> None:
    shell(path, "INSERT INTO folders(id, path, root) VALUES (9, x'2f78', 1)")
    shell(path, "UPDATE files SET folder = 9 WHERE picture = 51")
    assert {fault.code for fault in store.check()} == {"roots", "details"}
    store.repair()
    assert store.check() == []
    assert path_of(50) not in files_of(store)


def test_table_that_goes_while_it_is_open_ends_no_process(store: Store, path: Path) -> None:
    store.reindex()
    shell(path, f"DROP TABLE {T}_rowids")
    with pytest.raises(StoreDamaged, match=f"lacks {T}_rowids"):
        store.commit([indexed(n, path_of(n)) for n in range(COUNT)], 400.0)
    assert store.damage.is_set()
    store.repair()
    assert not store.damage.is_set()
    store.commit([indexed(n, path_of(n)) for n in range(COUNT)], 400.0)
    assert store.check() == []
    assert pictures_in(store, COUNT) == set(range(COUNT))


def test_roots_beside_the_index_that_are_gone_are_written_again(store: Store, path: Path) -> None:
    path.with_name("index.db.roots").unlink()
    assert [fault.code for fault in store.check()] == ["roots"]
    store.repair()
    assert store.check() == []


def test_index_of_sqlite_that_lacks_a_row_is_made_again(store: Store, path: Path) -> None:
    [row] = shell(path, "SELECT * FROM sqlite_master WHERE name = 'failures_hash'")
    values = ", ".join(map(apsw.format_sql_value, row))  # type: ignore[arg-type]
    shell(
        path,
        "PRAGMA writable_schema = on",
        "DELETE FROM sqlite_master WHERE name = 'failures_hash'",
        "PRAGMA writable_schema = reset",
        "UPDATE failures SET hash = x'05'",
        "PRAGMA writable_schema = on",
        f"INSERT INTO sqlite_master VALUES ({values})",
        "PRAGMA writable_schema = reset",
    )
    assert "damaged" in {fault.code for fault in store.check()}
    store.repair()
    assert store.check() == []


def test_check_tells_of_a_database_that_is_lost(store: Store, path: Path) -> None:
    path.unlink()
    [fault] = store.check()
    assert fault.code == "damaged"
    assert store.damage.is_set()
    with pytest.raises(StoreDamaged):
        store.repair()
    store.renew()
    assert store.check() == []
    assert store.roots() == [ROOT, Root(b"/r/inner", Identity(7, 7, "x"))]


def test_folder_that_is_gone_leaves_a_sound_store(store: Store) -> None:
    store.commit([GoneFolder(b"/r/inner")], 500.0)
    assert store.check() == []
    store.forget_orphans(1000.0)
    assert store.check() == []
    store.remove_root(b"/r/inner", 600.0)
    store.remove_root(b"/r", 600.0)
    assert store.check() == []
