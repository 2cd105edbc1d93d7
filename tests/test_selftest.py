"""The self-test of searches: it sees what is missed, and has searches look deeper."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.worlds import World
from imgq import wire
from imgqd.search.prefix import Prefix
from imgqd.search.resident import DEEP, Resident
from imgqd.search.selftest import SelfTest, Verdict

COUNT, DIM = 6000, 128


@pytest.fixture
def resident(monkeypatch: pytest.MonkeyPatch) -> Resident:
    monkeypatch.setattr("imgqd.search.resident._PREFIXED", 4096)
    monkeypatch.setattr("imgqd.search.rank._LEAST", 256)
    monkeypatch.setattr("imgqd.search.selftest.REST_S", 0.0)
    resident = Resident(DIM)
    resident.add(np.arange(COUNT), World(DIM).pictures(COUNT))
    return resident


def test_without_a_prefix_there_is_nothing_to_test(resident: Resident) -> None:
    selftest = SelfTest()
    assert selftest.due(resident) is None
    assert selftest.told() == Verdict(0, None, 0)


def test_a_good_prefix_is_left_as_it_is(resident: Resident) -> None:
    resident.refine()
    selftest, queries = SelfTest(), World(DIM, 2).texts(40)
    assert selftest.due(resident) == 0.0
    for start in range(0, 40, 10):
        for query in queries[start : start + 10]:
            selftest.saw(resident, query)
        selftest.run(resident, lambda: False)
    told = selftest.told()
    assert told.queries == 40 + 4 * 8
    assert told.recall
    assert told.recall >= 0.99
    assert wire.SelfTested(**asdict(told)).queries == told.queries
    assert selftest.due(resident)


def test_one_that_misses_too_many_is_looked_behind(resident: Resident) -> None:
    """Where the prefix tells nonsense of some rows, depth alone helps."""
    resident.refine()
    snapshot = resident.snapshot()
    assert snapshot.prefix
    directions, dice = snapshot.prefix.directions, np.random.default_rng(1)
    along = directions.along(snapshot.vectors[np.arange(COUNT)])
    some = dice.choice(COUNT, COUNT // 10, replace=False)
    along[some] = along[dice.permutation(some)]
    resident._prefix = Prefix(directions, (), 0).extended(along)
    # Deep enough as it is, it would miss hardly any of these.
    resident._deep = DEEP // 2
    resident.mend_by(lambda ids: {})
    selftest = SelfTest()
    for _ in range(60):
        for query in World(DIM, 3).texts(16):
            selftest.saw(resident, query)
        selftest.run(resident, lambda: False)
    told = selftest.told()
    assert told.deep > DEEP // 2
    assert told.recall is None or told.recall >= 0.99


def test_it_ends_when_the_daemon_does(resident: Resident) -> None:
    resident.refine()
    selftest = SelfTest()
    selftest.run(resident, lambda: True)
    assert selftest.told().queries == 0
