"""Whether searches find what they should: some of the latest, and some pictures, held against the exact
answer; where too much is missed, searches look deeper from then on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ref

import numpy as np

from imgqd.search.rank import many

if TYPE_CHECKING:
    from imgqd.search.resident import Resident, Snapshot
    from imgqd.search.vectors import Vectors

TOP = 10
SAMPLES = 16
LEAST_RECALL = 0.995
# So many hits tell whether recall is too low.
ENOUGH = 200
# Between two tests: so long, and so many times as long as the last one took.
PAUSE_S = 600.0
PAUSE_TIMES = 1000
# A matrix product is off by less.
ROUNDING = 1e-6
# Between two pieces of work, for whoever searches meanwhile.
REST_S = 0.005


@dataclass(frozen=True, slots=True)
class Verdict:
    """So many queries were held against the exact answer, and this share of the ten nearest was found
    (None before the first); deep: how deep searches look."""

    queries: int
    recall: float | None
    deep: int


class SelfTest:
    """`saw` may be called from any thread, the others from one."""

    def __init__(self) -> None:
        self._latest: deque[tuple[ref[Resident], Vectors]] = deque(maxlen=SAMPLES)
        self._queries = self._found = self._wanted = 0
        self._deep = 0
        self._dice = np.random.default_rng()
        self._tested: Resident | None = None
        self._next = 0.0

    def saw(self, resident: Resident, query: Vectors) -> None:
        """Somebody has searched these by this vector, float32 (dim,)."""
        self._latest.append((ref(resident), query))

    def told(self) -> Verdict:
        recall = self._found / self._wanted if self._wanted else None
        return Verdict(self._queries, recall, self._deep)

    def due(self, resident: Resident) -> float | None:
        """Seconds until a test may be due; None where searches are exact by themselves."""
        if resident.snapshot().prefix is None:
            return None
        if self._tested is not resident:
            return 0.0
        wait = self._next - time.monotonic()
        return wait if wait > 0 or self._latest else PAUSE_S

    def run(self, resident: Resident, is_ending: Callable[[], bool]) -> None:
        """Takes as long as reading all vectors does, and some rest between."""
        began = time.monotonic()
        snapshot = resident.snapshot()
        taken = [self._latest.popleft() for _ in range(len(self._latest))]
        latest = [query for searched, query in taken if searched() is resident]
        rows = self._dice.choice(np.flatnonzero(snapshot.alive), SAMPLES // 2)
        queries = np.concatenate([*(each[None] for each in latest), snapshot.exact(rows)])
        queries = queries[~np.isnan(queries).any(axis=1)]
        least = _least(snapshot, queries, is_ending)
        if is_ending():
            return
        found = many(snapshot, queries, TOP)
        for hits, worst in zip(found, least, strict=True):
            self._found += sum(score >= float(worst) for _, score in hits)
            self._wanted += TOP
        self._queries += len(queries)
        self._deep = snapshot.deep
        if self._wanted >= ENOUGH and self._found < LEAST_RECALL * self._wanted:
            self._deep = resident.widen()
            self._found = self._wanted = 0
        self._tested = resident
        self._next = time.monotonic() + max(PAUSE_S, PAUSE_TIMES * (time.monotonic() - began))


def _least(snapshot: Snapshot, queries: Vectors, is_ending: Callable[[], bool]) -> Vectors:
    """What a hit scores at least that is one of the nearest, by each query: float32 (m,)."""
    best = np.full((len(queries), TOP), -np.inf, np.float32)
    first = 0
    for block in snapshot.vectors.blocks():
        scores = queries @ block.T
        scores[:, ~snapshot.alive[first : first + len(block)]] = -np.inf
        both = np.concatenate([best, np.nan_to_num(scores, nan=-np.inf)], axis=1)
        best = np.partition(both, -TOP, axis=1)[:, -TOP:]
        first += len(block)
        if is_ending():
            break
        time.sleep(REST_S)
    least: Vectors = best.min(axis=1) - np.float32(ROUNDING)
    return least
