"""Killed at random times, the daemon comes back with all that is there; many rounds are `kill.py`'s."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kill
from conftest import Home


def test_fault_37_killed_at_random_times(new_home: Callable[..., Home], tmp_path: Path) -> None:
    home = new_home().start()
    plan = kill.Plan(seed=1, rounds=2, files=300)
    assert len(list(kill.run(plan, tmp_path / "disk", home))) == plan.rounds
