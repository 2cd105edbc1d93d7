"""The vectors in memory: what is added and removed, held against a dictionary; readers beside a writer."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from imgqd.search import resident as module
from imgqd.search.resident import Resident, Snapshot

DIM = 8


def told(ids: list[int], version: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A vector tells its id and its version, so that a mixed-up row is seen."""
    vectors = np.zeros((len(ids), DIM), np.float32)
    vectors[:, 0], vectors[:, 1] = ids, version
    return np.array(ids, np.int64), vectors


def shown(snapshot: Snapshot) -> dict[int, int]:
    """id → version of all that can be found; fails where one is there twice, or has another's vector or
    codes."""
    rows = np.flatnonzero(snapshot.alive)
    ids, vectors, codes = snapshot.ids[rows], snapshot.vectors[rows], snapshot.codes[rows]
    assert len(set(ids.tolist())) == len(ids)
    assert (vectors[:, 0] == ids).all()
    off = np.abs(codes.values * codes.steps[:, None] - vectors)
    assert (off <= codes.steps[:, None] / 2 + 1e-3).all()
    return dict(zip(ids.tolist(), vectors[:, 1].astype(int).tolist(), strict=True))


def test_nothing_is_found_in_nothing() -> None:
    resident = Resident(DIM)
    assert (len(resident), shown(resident.snapshot())) == (0, {})
    resident.remove([1, 2])
    resident.add(*told([]))
    assert shown(resident.snapshot()) == {}


def test_what_is_added_is_found_and_what_is_removed_is_not() -> None:
    resident = Resident(DIM)
    resident.add(*told([5, 3, 9]))
    resident.remove([3, 3, 77])
    assert shown(resident.snapshot()) == {5: 0, 9: 0}
    assert len(resident) == 2
    resident.add(*told([3], version=1))
    assert shown(resident.snapshot()) == {5: 0, 9: 0, 3: 1}


def test_a_picture_that_is_added_again_has_its_new_vector() -> None:
    resident = Resident(DIM)
    resident.add(*told([1, 2, 3]))
    resident.add(*told([2, 4], version=1))
    assert shown(resident.snapshot()) == {1: 0, 2: 1, 3: 0, 4: 1}
    assert len(resident) == 4


def test_it_equals_a_dictionary_after_any_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_ROWS", 4)
    dice = np.random.default_rng(1)
    resident, expected = Resident(DIM), dict[int, int]()
    largest = 0
    for version in range(1500):
        some = dice.choice(200, size=dice.integers(0, 12), replace=False).tolist()
        if dice.random() < 0.5:
            resident.add(*told(some, version))
            expected |= dict.fromkeys(some, version)
        else:
            resident.remove(some)
            expected = {id: known for id, known in expected.items() if id not in some}
        assert len(resident) == len(expected)
        largest = max(largest, len(resident.snapshot().ids))
        assert shown(resident.snapshot()) == expected
    assert largest < 1000


def test_it_grows_to_any_size_and_gives_back_what_is_removed() -> None:
    resident = Resident(DIM)
    for start in range(0, 10_000, 1000):
        resident.add(*told(list(range(start, start + 1000))))
    assert len(shown(resident.snapshot())) == 10_000
    resident.remove(range(9_900))
    assert sorted(shown(resident.snapshot())) == list(range(9_900, 10_000))
    assert len(resident.snapshot().ids) < 2000


def test_a_snapshot_stays_as_it_was_taken() -> None:
    """A search that is under way misses nothing that is embedded anew meanwhile."""
    resident = Resident(DIM)
    resident.add(*told([1, 2, 3]))
    snapshot = resident.snapshot()
    resident.add(*told([2, 4], version=1))
    resident.remove([1])
    resident.add(*told(list(range(100, 5000))))
    assert shown(snapshot) == {1: 0, 2: 0, 3: 0}


def test_readers_beside_a_writer_see_whole_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each moment the ids are 0 to 49 with one version; the writer replaces them in one step."""
    monkeypatch.setattr(module, "_FIRST_ROWS", 8)
    resident = Resident(DIM)
    resident.add(*told(list(range(50))))
    done, wrong = threading.Event(), list[str]()

    def read() -> None:
        while not done.is_set():
            try:
                state = shown(resident.snapshot())
                if sorted(state) != list(range(50)) or len(set(state.values())) != 1:
                    wrong.append(str(state))
            except AssertionError as error:
                wrong.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(1, 1500):
        resident.add(*told(list(range(50)), version))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
