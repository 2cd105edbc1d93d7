"""The store and the vectors in memory as one, whatever becomes of either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import batches
from imgqd.index import COUNTING_SHARE, Index
from imgqd.records import Gone
from imgqd.search.loading import loaded
from imgqd.store import Counts


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Three batches of pictures."""
    store = batches.filled(tmp_path / "index.db", 3)
    yield Index(store, loaded(store))
    store.close()


def ids(index: Index) -> list[int]:
    memory = index.resident.snapshot()
    return sorted(memory.ids[memory.alive].tolist())


def test_memory_is_as_the_store_whatever_is_committed(index: Index) -> None:
    assert index.strays() == 0
    index.commit([Gone(b"/r/0"), Gone(b"/r/1")])
    index.commit([batches.indexed(100)])
    assert index.strays() == 0
    assert len(ids(index)) == 3 * batches.BATCH - 2 - 2 + 1


def test_a_vector_that_memory_lacks_is_a_stray(index: Index) -> None:
    index.resident.remove(ids(index)[:2])
    assert index.strays() == 2


def test_a_vector_that_memory_alone_has_is_a_stray(index: Index) -> None:
    index.resident.add(np.array([1000]), np.ones((1, batches.DIM), np.float32))
    assert index.strays() == 1


def test_another_vector_in_memory_is_a_stray(index: Index) -> None:
    index.resident.add(np.array(ids(index)[3:4]), np.ones((1, batches.DIM), np.float32))
    assert index.strays() == 1


def test_an_empty_memory_is_a_stray_for_each_picture(index: Index) -> None:
    count = len(ids(index))
    index.resident.remove(ids(index))
    assert index.strays() == count


def test_what_the_store_has_no_sound_vector_of_is_no_stray(index: Index) -> None:
    batches.shell(index.store.path, "DELETE FROM embeddings_1 WHERE picture = 2")
    assert index.strays() == 0
    before = ids(index)
    index.repair()
    assert index.strays() == 0
    assert ids(index) == [each for each in before if each != 2]


def test_repair_brings_memory_back(index: Index) -> None:
    before = ids(index)
    index.resident.remove(before)
    index.repair()
    assert (ids(index), index.strays()) == (before, 0)


def test_what_is_lost_with_the_store_is_lost_in_memory(index: Index) -> None:
    assert index.renewed is None
    index.renew()
    assert index.renewed is not None
    assert (index.renewals, index.strays()) == (1, 0)
    # No file is known yet: nothing can be found that nobody could say the place of.
    assert ids(index) == []
    index.commit([batches.indexed(0), batches.indexed(3)])
    assert len(ids(index)) == 2
    assert index.strays() == 0


def test_counts_that_cannot_be_read_are_those_that_could(index: Index) -> None:
    before = index.counts(), index.root_counts()
    assert before[0].files == 3 * batches.BATCH - 2
    index.commit([batches.indexed(100)])
    index.store.close()
    assert (index.counts(), index.root_counts()) == before


def test_files_are_counted_again_when_there_has_been_time_for_it(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    # Its own alone: who gives way to questions goes by the time of the test before.
    monkeypatch.setattr("imgqd.index.time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    counted = index.store.counts

    def slowly() -> Counts:
        nonlocal now
        now += 0.5
        return counted()

    monkeypatch.setattr(index.store, "counts", slowly)
    files = index.recent_counts().files
    index.commit([batches.indexed(100)])
    now += 0.5 * COUNTING_SHARE - 0.1
    assert index.recent_counts().files == files
    now += 0.2
    assert index.recent_counts().files == files + 1
    # Who asks for them, gets those of this moment.
    index.commit([batches.indexed(101)])
    assert index.counts().files == index.recent_counts().files == files + 2
