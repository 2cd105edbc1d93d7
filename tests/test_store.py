"""What a commit makes of the index: files, moves, deletions, failures, orphans, roots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from imgq.errors import StoreError
from imgqd.records import (
    Change,
    Embedded,
    Failed,
    Failure,
    FailureKind,
    Gone,
    GoneFolder,
    Ignored,
    Indexed,
    Metadata,
    Moved,
    Notes,
    Precedent,
    Stamp,
)
from imgqd.store import Committed, Identity, Root, Store
from imgqd.store import pictures as module
from imgqd.store.database import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import apsw
    from numpy.typing import NDArray

PHOTO = Metadata("JPEG", 40, 30)
DISK = Identity(device=1, inode=2, fsid="ext4:1", kind="ext4")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index with the root /r, and a model whose vectors have 4 numbers."""
    store = Store.open(tmp_path / "index.db", "decoder-1")
    store.use_model("four", "four", 4)
    store.add_root(b"/r", DISK)
    yield store
    store.close()


def stamp(n: int, **changes: int) -> Stamp:
    values = {"size": n, "mtime_ns": n, "ctime_ns": n, "inode": n, "device": 1}
    return Stamp(**{**values, **changes})


def hash_of(n: int) -> bytes:
    return n.to_bytes(16, "big")


def vector(n: int) -> NDArray[np.float32]:
    raw = np.array([1, n, n * n, 1], np.float32)
    return raw / np.linalg.norm(raw)


def indexed(path: bytes, n: int) -> Indexed:
    """A file that shows picture n, which may be new."""
    return Indexed(path, stamp(n), hash_of(n), True, PHOTO, vector(n))


def reused(path: bytes, n: int) -> Indexed:
    return Indexed(path, stamp(n), hash_of(n))


def failed(path: bytes, kind: FailureKind, n: int = 7) -> Failed:
    return Failed(path, stamp(n), Failure(kind, "broken"), hash_of(n))


def final(kind: FailureKind) -> Precedent:
    return Precedent(Failure(kind, "broken"), is_final=True)


def commit(store: Store, *changes: Change, now: float = 100.0) -> Committed:
    return store.commit(changes, now)


def paths(store: Store) -> set[bytes]:
    return {shown.path for shown in store.files()}


def picture(store: Store, n: int) -> int:
    found = store.known(hash_of(n))
    assert found is not None
    return found


def test_indexed_file_is_known_with_its_picture_and_vector(store: Store) -> None:
    committed = commit(store, indexed(b"/r/a/x.jpg", 3))
    [(added, embedding)] = committed.added
    assert added == picture(store, 3)
    np.testing.assert_array_equal(embedding, vector(3))
    np.testing.assert_array_equal(store.vectors([added])[added], vector(3))
    row = store.rows(b"/r/a")[b"x.jpg"]
    assert (row.stamp, row.state, row.trusted) == (stamp(3), "indexed", True)
    assert (committed.shown, committed.hidden, committed.again) == ([], [], [])


def test_copy_of_a_known_picture_brings_no_vector_and_shows_nothing_new(store: Store) -> None:
    commit(store, indexed(b"/r/x.jpg", 3))
    assert commit(store, reused(b"/r/copy.jpg", 3)) == Committed(arrived=2)
    assert paths(store) == {b"/r/x.jpg", b"/r/copy.jpg"}


def test_unknown_picture_without_a_vector_is_to_be_read_again(store: Store) -> None:
    assert commit(store, reused(b"/r/x.jpg", 3)).again == [b"/r/x.jpg"]
    assert store.rows(b"/r") == {}


def test_changed_file_shows_its_new_picture_alone(store: Store) -> None:
    commit(store, indexed(b"/r/x.jpg", 3))
    old = picture(store, 3)
    committed = commit(store, indexed(b"/r/x.jpg", 4))
    assert committed.hidden == [old]
    assert [added.picture for added in committed.added] == [picture(store, 4)]
    assert len(store.rows(b"/r")) == 1


def test_untrusted_stamp_stays_so(store: Store) -> None:
    commit(store, Indexed(b"/r/x.jpg", stamp(1), hash_of(1), False, PHOTO, vector(1)))
    assert not store.rows(b"/r")[b"x.jpg"].trusted


def test_numbers_of_64_bits_and_more_come_back(store: Store) -> None:
    big = stamp(1, inode=(1 << 64) - 1, mtime_ns=15_000_000_000_000_000_000, ctime_ns=-1)
    commit(store, Ignored(b"/r/x", big))
    assert store.rows(b"/r")[b"x"].stamp == big
    assert [path for path, _ in store.by_inode([(1 << 64) - 1])] == [b"/r/x"]


def test_any_bytes_are_a_path(store: Store) -> None:
    path = b"/r/caf\xe9\n/\xff\x01.jpg"
    commit(store, indexed(path, 1))
    assert paths(store) == {path}
    assert store.child_folders(b"/r") == [b"caf\xe9\n"]


def test_words_that_are_not_unicode_are_no_obstacle(store: Store) -> None:
    photo = Metadata("JPEG", 1, 1, Notes(camera="Leica\udcff"))
    commit(store, Indexed(b"/r/x.jpg", stamp(1), hash_of(1), True, photo, vector(1)))
    assert store.files()[0].picture.metadata.notes.camera == "Leica?"


def test_file_becomes_ignored_and_its_picture_is_hidden(store: Store) -> None:
    commit(store, indexed(b"/r/x.jpg", 3))
    assert commit(store, Ignored(b"/r/x.jpg", stamp(5))).hidden == [1]
    assert store.rows(b"/r")[b"x.jpg"].state == "ignored"


def test_gone_file_and_gone_folder_take_nothing_else_along(store: Store) -> None:
    names = [b"/r/a/x", b"/r/a/b/y", b"/r/a/b/c/z", b"/r/ab/x", b"/r/a-b/x", b"/r/z"]
    commit(store, *(indexed(path, n) for n, path in enumerate(names)))
    commit(store, Gone(b"/r/a/x"), Gone(b"/r/a/b"), GoneFolder(b"/r/z"))
    assert paths(store) == set(names) - {b"/r/a/x"}
    committed = commit(store, GoneFolder(b"/r/a"))
    assert paths(store) == {b"/r/ab/x", b"/r/a-b/x", b"/r/z"}
    assert len(committed.hidden) == 2
    assert store.folders_under(b"/r") == [b"/r", b"/r/a-b", b"/r/ab"]


def test_moved_file_keeps_its_picture(store: Store) -> None:
    commit(store, indexed(b"/r/a/x.jpg", 3))
    renamed = stamp(3, device=9)
    assert commit(store, Moved(b"/r/a/x.jpg", b"/r/b/y.jpg", renamed)) == Committed()
    assert store.rows(b"/r/b")[b"y.jpg"].stamp == renamed
    assert store.folders_under(b"/r") == [b"/r/b"]


def test_other_links_of_a_replaced_file_are_to_be_looked_at(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1), indexed(b"/r/y", 1))
    assert commit(store, indexed(b"/r/x", 2)).again == [b"/r/y"]
    assert commit(store, indexed(b"/r/y", 1)).again == []


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_move_of_what_is_another_file_by_now_is_to_be_read_again(store: Store, field: str) -> None:
    commit(store, indexed(b"/r/x", 1))
    before = stamp(1, **{field: 9})
    assert commit(store, Moved(b"/r/x", b"/r/y", before)).again == [b"/r/y"]
    assert store.rows(b"/r").keys() == {b"x"}


def test_moved_over_a_known_file_hides_what_it_showed(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1), indexed(b"/r/y", 2))
    hidden = picture(store, 2)
    assert commit(store, Moved(b"/r/x", b"/r/y", stamp(1))).hidden == [hidden]
    assert store.rows(b"/r").keys() == {b"y"}


def test_files_that_change_places_in_a_ring_all_arrive(store: Store) -> None:
    commit(store, *(indexed(b"/r/%d" % n, n) for n in range(3)))
    ring = [Moved(b"/r/%d" % n, b"/r/%d" % ((n + 1) % 3), stamp(n)) for n in range(3)]
    assert commit(store, *ring) == Committed()
    assert {name: row.stamp.size for name, row in store.rows(b"/r").items()} == {
        b"0": 2,
        b"1": 0,
        b"2": 1,
    }


def test_move_of_an_unknown_file_is_to_be_read_again(store: Store) -> None:
    assert commit(store, Moved(b"/r/x", b"/r/y", stamp(1))).again == [b"/r/y"]


def test_move_out_of_every_root_forgets_the_file(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1))
    committed = commit(store, Moved(b"/r/x", b"/elsewhere/x", stamp(1)))
    assert (committed.hidden, committed.again) == ([1], [])
    assert store.counts().files == 0


def test_file_in_place_of_a_folder_takes_the_folder_away(store: Store) -> None:
    commit(store, indexed(b"/r/a/x", 1), indexed(b"/r/a/b/y", 2))
    commit(store, indexed(b"/r/a", 3))
    assert paths(store) == {b"/r/a"}


def test_folder_that_goes_and_comes_in_one_commit_is_there(store: Store) -> None:
    commit(store, indexed(b"/r/a/x", 1), GoneFolder(b"/r/a"), indexed(b"/r/a/y", 2))
    assert paths(store) == {b"/r/a/y"}


def test_file_moved_in_place_of_its_own_folder_is_read_again(store: Store) -> None:
    commit(store, indexed(b"/r/a/x", 1), indexed(b"/r/a/y", 2))
    assert commit(store, Moved(b"/r/a/x", b"/r/a", stamp(1))).again == [b"/r/a"]
    assert paths(store) == set()


def test_folder_is_forgotten_with_its_last_file(store: Store) -> None:
    commit(store, indexed(b"/r/a/x", 1), indexed(b"/r/b/y", 2))
    commit(store, Gone(b"/r/a/x"))
    assert store.folders_under(b"/r") == [b"/r/b"]


def test_gone_of_a_file_spares_the_folder_that_took_its_name(store: Store) -> None:
    commit(store, indexed(b"/r/a", 1))
    commit(store, indexed(b"/r/a/x", 2), Gone(b"/r/a"))
    assert paths(store) == {b"/r/a/x"}


def test_change_where_no_root_is_over_is_dropped(store: Store) -> None:
    assert commit(store, indexed(b"/other/x", 1), Ignored(b"/rx/y", stamp(1))) == Committed()
    assert store.folders_under(b"/") == []


def test_failed_commit_leaves_nothing_behind(store: Store) -> None:
    lacking = Indexed(b"/r/y", stamp(2), hash_of(2), True, None, vector(2))
    with pytest.raises(ValueError, match="metadata"):
        commit(store, indexed(b"/r/x", 1), lacking)
    assert store.known(hash_of(1)) is None
    assert list(store.resident()) == []
    assert commit(store, indexed(b"/r/x", 1)).added


@pytest.mark.parametrize(
    "bad",
    [
        np.full(4, np.nan, np.float32),
        np.array([np.inf, 0, 0, 0], np.float32),
        np.zeros(4, np.float32),
        np.array([1, 1, 0, 0], np.float32),
        np.array([1, 0, 0], np.float32),
    ],
)
def test_vector_that_is_none_is_a_failure_of_that_file_alone(
    store: Store, bad: NDArray[np.float32]
) -> None:
    broken = Indexed(b"/r/x", stamp(1), hash_of(1), True, PHOTO, bad)
    committed = commit(store, broken, indexed(b"/r/y", 2))
    assert [change.path for change in committed.rejected] == [b"/r/x"]
    assert len(committed.added) == 1
    assert store.known(hash_of(1)) is None
    assert store.rows(b"/r")[b"x"].state == "failed"


@pytest.mark.parametrize(
    "broken",
    [
        Indexed(b"/r/x", stamp(1), hash_of(1), True, PHOTO, np.zeros(4, np.float32)),
        replace(failed(b"/r/x", "damaged", n=1), of_model=True),
    ],
)
def test_failure_by_one_models_vector_is_none_under_another(store: Store, broken: Change) -> None:
    commit(store, broken)
    commit(store, broken)
    ledger = store.rows(b"/r")[b"x"].ledger
    assert ledger is not None
    assert ledger.is_final("decoder-1")
    assert store.failed_hash(hash_of(1)) is not None
    store.use_model("other", "other", 3)
    assert store.failed_hash(hash_of(1)) is None
    ledger = store.rows(b"/r")[b"x"].ledger
    assert ledger is not None
    assert not ledger.is_final("decoder-1")


def test_attempts_count_while_it_is_the_same_trouble_with_the_same_bytes(store: Store) -> None:
    def attempts(change: Failed, now: float) -> tuple[int, float, float]:
        commit(store, change, now=now)
        [entry] = store.errors()
        return entry.ledger.attempts, entry.ledger.first_seen, entry.ledger.last_seen

    assert attempts(failed(b"/r/x", "crashed"), 1) == (1, 1, 1)
    assert store.failed_hash(hash_of(7)) == Precedent(Failure("crashed", "broken"), is_final=False)
    assert attempts(failed(b"/r/x", "timeout"), 2) == (2, 1, 2)
    assert store.failed_hash(hash_of(7)) == final("timeout")
    assert attempts(failed(b"/r/x", "crashed", n=8), 3) == (1, 1, 3)
    assert attempts(failed(b"/r/x", "unreadable", n=8), 4) == (1, 1, 4)
    assert attempts(failed(b"/r/x", "unreadable", n=8), 5) == (2, 1, 5)
    assert store.failed_hash(hash_of(8)) is None


def test_attempts_at_the_same_bytes_count_under_whatever_path(store: Store) -> None:
    def attempts() -> dict[bytes, int]:
        return {entry.path[-1:]: entry.ledger.attempts for entry in store.errors()}

    commit(store, failed(b"/r/x", "crashed"))
    commit(store, failed(b"/r/z", "crashed", n=8))
    assert attempts() == {b"x": 1, b"z": 1}
    commit(store, failed(b"/r/y", "timeout"))
    assert attempts() == {b"x": 1, b"y": 2, b"z": 1}
    assert store.failed_hash(hash_of(7)) == final("timeout")
    # What is only known of them is no attempt.
    for _ in range(2):
        commit(store, replace(failed(b"/r/x", "timeout"), tried=False))
    assert attempts() == {b"x": 2, b"y": 2, b"z": 1}
    commit(store, replace(failed(b"/r/a", "crashed", n=9), tried=False))
    assert attempts()[b"a"] == 1


def test_failure_is_final_for_its_decoder_alone(store: Store, tmp_path: Path) -> None:
    commit(store, failed(b"/r/x", "damaged"))
    assert store.failed_hash(hash_of(7)) == final("damaged")
    newer = Store.open(tmp_path / "index.db", "decoder-2")
    assert newer.failed_hash(hash_of(7)) is None
    newer.close()
    assert store.retry([b"/r/x"]) == 1
    assert store.failed_hash(hash_of(7)) is None


def test_the_first_of_many_copies_is_enough_and_its_connection_at_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (b"x", b"y", b"z"):
        commit(store, failed(b"/r/" + name, "damaged"))
    opened, real = [], database.open_reader

    def counted(path: Path, *, immutable: bool) -> apsw.Connection:
        opened.append(path)
        return real(path, immutable=immutable)

    monkeypatch.setattr(database, "open_reader", counted)
    for _ in range(3):
        assert store.failed_hash(hash_of(7)) == final("damaged")
    assert len(opened) <= 1


@pytest.mark.parametrize(
    "cure", [indexed(b"/r/x", 1), Ignored(b"/r/x", stamp(1)), Gone(b"/r/x"), GoneFolder(b"/r")]
)
def test_failure_ends_with_what_comes_after_it(store: Store, cure: Change) -> None:
    commit(store, failed(b"/r/x", "damaged"))
    commit(store, cure)
    assert store.errors() == []


def test_failure_moves_with_its_file(store: Store) -> None:
    commit(store, failed(b"/r/x", "damaged"))
    commit(store, Moved(b"/r/x", b"/r/y", stamp(7)))
    assert [entry.path for entry in store.errors()] == [b"/r/y"]


def test_orphan_comes_back_without_an_embedding(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1))
    id = picture(store, 1)
    assert commit(store, Gone(b"/r/x"), now=200).hidden == [id]
    assert store.known(hash_of(1)) == id
    assert next(store.resident()).ids.size == 0
    committed = commit(store, reused(b"/r/y", 1), now=300)
    assert (committed.added, committed.shown) == ([], [id])
    assert store.forget_orphans(1000) == []


def test_embedded_picture_waits_as_an_orphan_for_a_file(store: Store) -> None:
    assert commit(store, Embedded(hash_of(1), PHOTO, vector(1)), now=200) == Committed()
    assert paths(store) == set()
    id = picture(store, 1)
    assert next(store.resident()).ids.size == 0
    assert commit(store, reused(b"/r/x", 1), now=300).shown == [id]
    np.testing.assert_array_equal(store.vectors([id])[id], vector(1))
    commit(store, Embedded(hash_of(2), PHOTO, vector(2)), now=200)
    assert store.forget_orphans(201) == [id + 1]


def test_embedded_picture_that_a_file_shows_is_embedded_again(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1))
    [(id, _)] = commit(store, Embedded(hash_of(1), PHOTO, vector(5))).added
    np.testing.assert_array_equal(store.vectors([id])[id], vector(5))


def test_embedded_picture_without_a_true_vector_is_dropped(store: Store) -> None:
    broken = Embedded(hash_of(1), PHOTO, np.zeros(4, np.float32))
    assert commit(store, broken, indexed(b"/r/y", 2)).rejected == []
    assert store.known(hash_of(1)) is None
    assert paths(store) == {b"/r/y"}


def test_orphans_are_forgotten_some_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that was removed is a large one: nobody waits for all of it, nor does the log hold it."""
    monkeypatch.setattr(module, "FORGOTTEN_AT_ONCE", 2)
    commit(store, *(indexed(b"/r/%d" % number, number) for number in range(1, 6)))
    ids = [picture(store, number) for number in range(1, 6)]
    commit(store, GoneFolder(b"/r"), now=200)
    before = store._database.commits
    assert store.forget_orphans(201) == ids
    assert store._database.commits - before > 3
    assert all(store.known(hash_of(number)) is None for number in range(1, 6))


def test_orphans_are_forgotten_with_their_vectors_when_their_time_has_come(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1), indexed(b"/r/y", 2))
    first, second = picture(store, 1), picture(store, 2)
    commit(store, Gone(b"/r/x"), now=200)
    commit(store, Gone(b"/r/y"), now=300)
    assert store.forget_orphans(250) == [first]
    assert store.known(hash_of(1)) is None
    assert store.vectors([first, second]).keys() == {second}
    assert commit(store, reused(b"/r/x", 1)).again == [b"/r/x"]
    assert commit(store, indexed(b"/r/x", 1)).added[0].picture > second


def test_inode_finds_where_a_file_was(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1), Ignored(b"/r/a/y", stamp(1)))
    assert {path for path, _ in store.by_inode([1])} == {b"/r/x", b"/r/a/y"}
    assert list(store.by_inode([2])) == []


def test_folders_below_are_named_once_each(store: Store) -> None:
    folders = [b"a", b"a-b", b"a/b/c", b"a/b/d", b"a.b/x", b"a0", b"c/d"]
    commit(store, *(Ignored(b"/r/" + folder + b"/f", stamp(1)) for folder in folders))
    assert store.child_folders(b"/r") == [b"a", b"a-b", b"a.b", b"a0", b"c"]
    assert store.child_folders(b"/r/a") == [b"b"]
    assert store.child_folders(b"/") == [b"r"]
    assert store.child_folders(b"/r/c/d") == []
    assert store.folders_under(b"/r/a") == [b"/r/a", b"/r/a/b/c", b"/r/a/b/d"]


def test_root_is_kept_as_it_was_told(store: Store) -> None:
    assert store.roots() == [Root(b"/r", DISK)]
    assert store.add_root(b"/r", Identity(7, 7, "other")) == Root(b"/r", DISK)
    store.set_root(b"/r", state="offline", had_entries=True)
    assert store.roots() == [Root(b"/r", DISK, "offline", had_entries=True)]
    store.set_root(b"/r", state="online")
    assert store.roots() == [Root(b"/r", DISK, "online", had_entries=True)]
    with pytest.raises(StoreError, match="/s is not a watched folder"):
        store.set_root(b"/s", state="online")


def test_files_follow_a_disk_that_comes_back_under_another_number(store: Store) -> None:
    store.add_root(b"/r/inner", Identity(5, 5, "other"))
    commit(store, indexed(b"/r/x", 1), Ignored(b"/r/inner/y", stamp(2)))
    now = Identity(9, 2, "ext4:1", "fuse.ext4")
    assert store.set_root(b"/r", identity=now).identity == now
    assert store.rows(b"/r")[b"x"].stamp.device == 9
    assert store.rows(b"/r/inner")[b"y"].stamp.device == 1


def test_file_belongs_to_the_deepest_root(store: Store) -> None:
    commit(store, *(indexed(path, n) for n, path in enumerate([b"/r/x", b"/r/a/y", b"/r/a/b/z"])))
    store.add_root(b"/r/a/b", DISK)
    store.add_root(b"/r/a", DISK)
    commit(store, indexed(b"/r/a/b/new/v", 9))
    assert {path: tally.files for path, tally in store.root_counts().items()} == {
        b"/r": 1,
        b"/r/a": 1,
        b"/r/a/b": 2,
    }
    assert store.remove_root(b"/r/a", 100.0) == []
    assert {path: tally.files for path, tally in store.root_counts().items()} == {
        b"/r": 2,
        b"/r/a/b": 2,
    }


def test_removed_root_hides_its_pictures_and_spares_deeper_roots(store: Store) -> None:
    commit(store, indexed(b"/r/x", 1), indexed(b"/r/a/y", 2))
    store.add_root(b"/r/a", DISK)
    hidden = picture(store, 1)
    assert store.remove_root(b"/r", 500.0) == [hidden]
    assert paths(store) == {b"/r/a/y"}
    assert store.forget_orphans(501) == [hidden]
    with pytest.raises(StoreError, match="not a watched folder"):
        store.remove_root(b"/r", 500.0)


def test_mount_goes_with_the_root_over_it_and_may_become_one(store: Store) -> None:
    store.add_root(b"/r/disk", Identity(3, 3, "vfat"), mount=True)
    store.add_root(b"/r/other", Identity(4, 4, "vfat"), mount=True)
    commit(store, indexed(b"/r/disk/x", 1), indexed(b"/r/other/y", 2))
    assert store.add_root(b"/r/other", DISK).mount is False
    store.remove_root(b"/r", 100.0)
    assert [root.path for root in store.roots()] == [b"/r/other"]
    assert paths(store) == {b"/r/other/y"}


def test_everything_can_be_a_root(store: Store) -> None:
    store.add_root(b"/", DISK)
    commit(store, indexed(b"/x.jpg", 1), indexed(b"/usr/y.jpg", 2))
    assert store.rows(b"/").keys() == {b"x.jpg"}
    assert store.child_folders(b"/") == [b"usr"]
    assert store.folders_under(b"/") == [b"/", b"/usr"]
    assert len(store.showing(b"/")) == 2
    assert len(store.remove_root(b"/", 100.0)) == 2
