"""Ranking, held against a NumPy sort of everything."""

from __future__ import annotations

import numpy as np
import pytest

from imgqd.search.rank import combine, nearest
from imgqd.search.resident import Resident

DIM = 32


def unit(values: np.ndarray) -> np.ndarray:
    vectors: np.ndarray = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return vectors.astype(np.float32)


class Oracle:
    """A resident index with deletions in it, and the same as a dictionary.

    The vectors are of small whole numbers: every product is exact, in whatever order it is summed,
    and there are many equals.
    """

    def __init__(self, count: int = 3000) -> None:
        self.dice = np.random.default_rng(count)
        ids = self.dice.permutation(10 * count)[:count]
        vectors = self._whole((count, DIM))
        vectors[::7] = vectors[0]  # equals
        self.resident = Resident(DIM)
        for start in range(0, count, 500):
            self.resident.add(ids[start : start + 500], vectors[start : start + 500])
        gone = ids[::5].tolist()
        self.resident.remove(gone)
        pairs = zip(ids.tolist(), vectors, strict=True)
        self.known = {id: vector for id, vector in pairs if id not in set(gone)}

    def query(self) -> np.ndarray:
        return self._whole((DIM,))

    def _whole(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.dice.integers(-4, 5, shape).astype(np.float32)

    def sorted(self, query: np.ndarray, eligible: set[int] | None = None) -> list[int]:
        scores = {id: float(vector @ query) for id, vector in self.known.items()}
        found = [id for id in scores if eligible is None or id in eligible]
        return sorted(found, key=lambda id: (-scores[id], id))


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def ids(found: list[tuple[int, float]]) -> list[int]:
    return [id for id, _ in found]


@pytest.mark.parametrize("top", [1, 2, 20, 100, 2400, 100_000])
def test_the_order_is_that_of_a_sort(oracle: Oracle, top: int) -> None:
    for _ in range(5):
        query = oracle.query()
        assert ids(nearest(oracle.resident.snapshot(), query, top)) == oracle.sorted(query)[:top]


def test_the_scores_are_cosines() -> None:
    dice = np.random.default_rng(2)
    vectors, query = unit(dice.standard_normal((200, DIM))), unit(dice.standard_normal(DIM))
    resident = Resident(DIM)
    resident.add(np.arange(200), vectors)
    for id, score in nearest(resident.snapshot(), query, 50):
        assert score == pytest.approx(float(vectors[id] @ query), abs=1e-6)


@pytest.mark.parametrize("top", [1, 5, 60, 200])
def test_which_of_equals_are_found_is_for_their_ids_to_say(oracle: Oracle, top: int) -> None:
    snapshot = oracle.resident.snapshot()
    vectors = np.stack(list(oracle.known.values()))
    same, counts = np.unique(vectors, axis=0, return_counts=True)
    query = same[counts.argmax()]
    equals = sorted(id for id, vector in oracle.known.items() if (vector == query).all())
    assert len(equals) > 200
    assert ids(nearest(snapshot, query, top, np.array(equals))) == equals[:top]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 1.0])
def test_a_filter_is_applied_before_the_top_is_taken(oracle: Oracle, share: float) -> None:
    known = np.array(sorted(oracle.known))
    allowed = oracle.dice.choice(known, int(share * len(known)), replace=False)
    unknown = np.array([-5, 10**9])
    query = oracle.query()
    found = nearest(oracle.resident.snapshot(), query, 20, np.append(allowed, unknown))
    assert ids(found) == oracle.sorted(query, set(allowed.tolist()))[:20]


def test_what_is_left_out_is_not_found_and_costs_no_place(oracle: Oracle) -> None:
    query = oracle.query()
    best = oracle.sorted(query)
    found = nearest(oracle.resident.snapshot(), query, 20, left_out=[best[0], best[3], -7])
    assert ids(found) == [each for each in best if each not in (best[0], best[3])][:20]


def test_nothing_is_found_among_nothing() -> None:
    resident = Resident(DIM)
    query = np.zeros(DIM, np.float32)
    assert nearest(resident.snapshot(), query, 10) == []
    resident.add(np.array([1], np.int64), np.ones((1, DIM), np.float32))
    assert nearest(resident.snapshot(), query, 10, np.empty(0, np.int64)) == []
    assert nearest(resident.snapshot(), query, 10, left_out=[1]) == []


def test_terms_are_summed_by_their_weights() -> None:
    dice = np.random.default_rng(3)
    vectors = unit(dice.standard_normal((3, DIM)))
    found = combine(vectors, np.array([2.0, 1.0, -0.5], np.float32))
    expected = unit(2 * vectors[0] + vectors[1] - 0.5 * vectors[2])
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float32
    assert combine(vectors[:1], np.array([7.0], np.float32)) == pytest.approx(vectors[0], abs=1e-6)


def test_terms_that_cancel_each_other_out_find_nothing_in_particular() -> None:
    vector = unit(np.ones((1, DIM)))
    found = combine(np.vstack([vector, vector]), np.array([1.0, -1.0], np.float32))
    assert (found == 0).all()
