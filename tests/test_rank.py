"""Ranking, held against a NumPy sort of exact scores: the same pictures, scores and order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks.worlds import World, unit
from imgqd.search.rank import combine, many, nearest
from imgqd.search.resident import Resident

DIM = 48

Hits = list[tuple[int, float]]


class Oracle:
    """A resident index, and the same as a dictionary.

    Of the vectors some are equal, some nearly so, and some have one place that is all of them.
    """

    def __init__(self, seed: int, count: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.resident = Resident(DIM)
        self.known: dict[int, np.ndarray] = {}
        self.ids = self.dice.permutation(10 * count + 1)[:count]
        for start in range(0, count, 500):
            self.add(self.ids[start : start + 500])

    def vectors(self, count: int) -> np.ndarray:
        vectors = unit(self.dice.standard_normal((count, DIM)))
        if count > 10:
            vectors[::7] = vectors[0]
            vectors[1::11] = unit(vectors[1] + 1e-4 * self.dice.standard_normal(DIM))
            vectors[2] = np.eye(DIM, dtype=np.float32)[3]
        return vectors

    def add(self, ids: np.ndarray) -> None:
        vectors = self.vectors(len(ids))
        self.resident.add(ids, vectors)
        self.known |= dict(zip(ids.tolist(), vectors, strict=True))

    def remove(self, ids: Iterable[int]) -> None:
        ids = list(ids)
        self.resident.remove(ids)
        for id in ids:
            self.known.pop(id, None)

    def query(self) -> np.ndarray:
        """A vector that is there, or one near to it, or any."""
        vectors = list(self.known.values()) or [self.vectors(1)[0]]
        some: np.ndarray = vectors[self.dice.integers(len(vectors))]
        return unit(some + self.dice.choice([0, 0.1, 10]) * unit(self.vectors(1)[0]))

    def sorted(self, query: np.ndarray, eligible: set[int] | None = None) -> Hits:
        ids = np.array([id for id in self.known if eligible is None or id in eligible], np.int64)
        vectors = np.array([self.known[id] for id in ids.tolist()], np.float64).reshape(-1, DIM)
        scores = (vectors @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((ids, -scores))
        return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    oracle = Oracle(0, 3000)
    oracle.remove(oracle.ids[::5].tolist())
    return oracle


@pytest.mark.parametrize("top", [1, 2, 20, 100, 2400, 100_000])
def test_the_answer_is_that_of_a_sort(oracle: Oracle, top: int) -> None:
    for _ in range(10):
        query = oracle.query()
        assert nearest(oracle.resident.snapshot(), query, top) == oracle.sorted(query)[:top]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.1, 0.3, 0.9, 1.0])
def test_a_filter_is_applied_before_the_top_is_taken(oracle: Oracle, share: float) -> None:
    known = np.array(sorted(oracle.known))
    allowed = oracle.dice.choice(known, int(share * len(known)), replace=False)
    unknown = np.array([-5, 10**9, *oracle.ids[::5]])
    query = oracle.query()
    found = nearest(oracle.resident.snapshot(), query, 20, np.append(allowed, unknown))
    assert found == oracle.sorted(query, set(allowed.tolist()))[:20]


def test_what_is_left_out_is_not_found_and_costs_no_place(oracle: Oracle) -> None:
    query = oracle.query()
    best = oracle.sorted(query)
    out = [best[0][0], best[3][0], -7]
    expected = [hit for hit in best if hit[0] not in out]
    assert nearest(oracle.resident.snapshot(), query, 20, left_out=out) == expected[:20]
    some = np.array([id for id, _ in best[:30]])
    assert nearest(oracle.resident.snapshot(), query, 99, some, out) == expected[:28]


@pytest.mark.parametrize("top", [1, 5, 60, 200])
def test_which_of_equals_are_found_is_for_their_ids_to_say(oracle: Oracle, top: int) -> None:
    vectors = np.stack(list(oracle.known.values()))
    same, counts = np.unique(vectors, axis=0, return_counts=True)
    query = same[counts.argmax()]
    found = nearest(oracle.resident.snapshot(), query, top)
    assert found == oracle.sorted(query)[:top]
    assert len({score for _, score in found[: counts.max()]}) == 1


def test_terms_without_a_direction_find_pictures_by_their_ids(oracle: Oracle) -> None:
    found = nearest(oracle.resident.snapshot(), np.zeros(DIM, np.float32), 30)
    assert found == [(id, 0.0) for id in sorted(oracle.known)[:30]]


def test_nothing_is_found_among_nothing() -> None:
    resident = Resident(DIM)
    query = unit(np.ones(DIM))
    assert nearest(resident.snapshot(), query, 10) == []
    assert many(resident.snapshot(), query[None], 10) == [[]]
    resident.add(np.array([1]), query[None])
    assert nearest(resident.snapshot(), query, 10, np.empty(0, np.int64)) == []
    assert nearest(resident.snapshot(), query, 10, left_out=[1]) == []


@pytest.mark.parametrize("seed", range(6))
def test_the_answer_is_that_of_a_sort_after_any_changes(seed: int) -> None:
    oracle = Oracle(seed, [0, 1, 30, 1000, 5000, 2000][seed])
    dice = oracle.dice
    for _ in range(30):
        some = dice.choice(20_000, dice.integers(0, 400), replace=False)
        known = np.array(sorted(oracle.known), np.int64)
        if dice.random() < 0.5:
            oracle.add(np.append(some, dice.permutation(known[known >= 20_000])[:50]))
        else:
            oracle.remove(
                [*some.tolist(), *dice.permutation(known)[: dice.integers(0, 300)].tolist()]
            )
        top = int(dice.choice([1, 2, 10, 100, len(oracle.known) + 1]))
        query = oracle.query()
        out = [id for id, _ in oracle.sorted(query)[: dice.integers(0, 3)]]
        eligible = None
        if dice.random() < 0.7:
            eligible = {id for id in oracle.known if dice.random() < dice.choice([0.01, 0.3, 0.9])}
        allowed = None if eligible is None else np.array(list(eligible), np.int64)
        expected = [hit for hit in oracle.sorted(query, eligible) if hit[0] not in out]
        found = nearest(oracle.resident.snapshot(), query, top, allowed, out)
        assert found == expected[:top]


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_many_queries_are_answered_as_each_alone(oracle: Oracle, count: int) -> None:
    queries = np.array([oracle.query() for _ in range(count)], np.float32).reshape(-1, DIM)
    alone = [nearest(oracle.resident.snapshot(), query, 10) for query in queries]
    assert many(oracle.resident.snapshot(), queries, 10) == alone


@pytest.mark.parametrize("seed", range(2))
def test_with_a_prefix_filters_scores_and_order_are_exact(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And hardly any hit is missed, while rows come, go, are replaced, and move."""
    monkeypatch.setattr("imgqd.search.resident._PREFIXED", 512)
    monkeypatch.setattr("imgqd.search.resident._FIRST_ROWS", 6000)
    monkeypatch.setattr("imgqd.search.resident._LATEST", 0.5)
    monkeypatch.setattr("imgqd.search.rank._LEAST", 64)
    dice, world, dim = np.random.default_rng(seed), World(128, seed), 128
    resident, known = Resident(dim), np.zeros((6000, dim), np.float32)
    is_known = np.zeros(len(known), np.bool_)
    found_of, expected_of, prefixed = 0, 0, 0
    for _ in range(35):
        some = dice.choice(len(known), dice.integers(0, 1200), replace=False)
        if dice.random() < 0.7:
            known[some], is_known[some] = world.pictures(len(some)), True
            resident.add(some, known[some])
            resident.refine()
        else:
            resident.remove(some.tolist())
            is_known[some] = False
        query = world.texts(1)[0] if dice.random() < 0.5 else world.likes(known[:1000] + 1e-9, 1)[0]
        scores = (known.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
        eligible = is_known & (dice.random(len(known)) < dice.choice([0.4, 0.9, 2]))
        allowed = np.flatnonzero(eligible) if not (eligible == is_known).all() else None
        order = np.lexsort((np.arange(len(known)), np.where(eligible, -scores, np.inf)))
        expected, out = order[: int(np.count_nonzero(eligible))].tolist(), order[:1].tolist()
        snapshot = resident.snapshot()
        prefixed += snapshot.prefix is not None and 0 < snapshot.prefix.count < len(snapshot.ids)
        for top in (1, 10, 3000):
            found = nearest(snapshot, query, top, allowed, out)
            wanted = [id for id in expected if id not in out][:top]
            assert len(found) == len(wanted)
            assert eligible[[id for id, _ in found]].all()
            assert [score for _, score in found] == scores[[id for id, _ in found]].tolist()
            assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))
            if top <= 10:
                found_of += len({id for id, _ in found}.intersection(wanted))
                expected_of += len(wanted)
    assert prefixed > 10
    assert found_of >= 0.99 * expected_of


def test_what_came_lately_is_found_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all that passes came after the prefix was made, nothing in the prefix does."""
    monkeypatch.setattr("imgqd.search.resident._PREFIXED", 4096)
    monkeypatch.setattr("imgqd.search.rank._LEAST", 16)
    world, resident = World(128), Resident(128)
    pictures = world.pictures(5100)
    resident.add(np.arange(4096), pictures[:4096])
    resident.refine()
    resident.add(np.arange(4096, 5100), pictures[4096:])
    snapshot = resident.snapshot()
    assert snapshot.prefix
    assert snapshot.prefix.count == 4096
    for query in world.texts(5):
        found = nearest(snapshot, query, 2, np.arange(4096, 5100))
        assert [id for id, _ in found] == (4096 + np.argsort(-pictures[4096:] @ query)[:2]).tolist()


@pytest.fixture(scope="module")
def world() -> tuple[World, np.ndarray, Resident]:
    world = World(256)
    pictures = world.pictures(100_000)
    resident = Resident(256)
    resident.add(np.arange(100_000), pictures)
    resident.refine()
    return world, pictures, resident


@pytest.mark.parametrize("kind", ["text", "picture"])
def test_hardly_any_of_the_ten_nearest_of_100_000_is_missed(
    world: tuple[World, np.ndarray, Resident], kind: str
) -> None:
    made, pictures, resident = world
    queries = made.texts(200) if kind == "text" else made.likes(pictures, 200)
    scores = pictures @ queries.T
    found = many(resident.snapshot(), queries, 10)
    hits = 0
    for best, column in zip(found, scores.T, strict=True):
        nearest_ten = np.argpartition(-column, 10)[:10].tolist()
        hits += len({id for id, _ in best}.intersection(nearest_ten))
    assert hits / (10 * len(queries)) >= 0.995


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
