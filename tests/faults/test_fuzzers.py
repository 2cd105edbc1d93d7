"""A few rounds of what `churn.py` and `kill.py` do many of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import churn
import ground
import kill
from conftest import Home


def test_fault_10_right_soon_after_disorder(new_home: Callable[..., Home]) -> None:
    plan = churn.Plan(seed=1, rounds=2, operations=400)
    with ground.scratch() as memory:
        assert len(list(churn.run(plan, memory, new_home().start()))) == plan.rounds


def test_fault_37_killed_at_random_times(new_home: Callable[..., Home], tmp_path: Path) -> None:
    plan = kill.Plan(seed=1, rounds=2, files=200)
    assert len(list(kill.run(plan, tmp_path / "disk", new_home().start()))) == plan.rounds
