"""A few rounds of what `calls.py`, `churn.py`, `kill.py`, `soak.py` and `stranger.py` do many of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import churn
import ground
import kill
import soak
import stranger
from calls import Fault, Faulty
from conftest import Home


@pytest.fixture
def hasty(new_home: Callable[..., Home]) -> Home:
    """A daemon that soon takes a broken picture for broken; running."""
    home = new_home()
    home.plant("short_youth")
    return home.start()


def test_fault_10_right_soon_after_disorder(hasty: Home) -> None:
    plan = churn.Plan(seed=1, rounds=2, operations=400)
    with ground.scratch() as memory:
        assert len(list(churn.run(plan, memory, hasty))) == plan.rounds


def test_fault_37_killed_at_random_times(hasty: Home, tmp_path: Path) -> None:
    plan = kill.Plan(seed=1, rounds=2, files=200)
    assert len(list(kill.run(plan, tmp_path / "disk", hasty))) == plan.rounds


def test_fault_42_a_call_of_the_database_fails(new_home: Callable[..., Home]) -> None:
    faulty = Faulty(new_home())
    faulty.start()
    for fault in (
        Fault(5, "BusyError", "forever"),
        Fault(40, "FullError", "once"),
        Fault(17, "IOError", "forever"),
        Fault(11, "CorruptError", "forever"),
        Fault(60, "CorruptError", "once"),
        Fault(23, "NoMemError", "forever"),
    ):
        faulty.pass_through(fault)
    for fault in (Fault(9, "IOError", "once"), Fault(25, "CorruptError", "once")):
        faulty.begin_amid(fault)


def test_fault_72_what_is_held_is_told_after_each_round(
    hasty: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether it grows, only an hour tells.
    monkeypatch.setattr(soak, "_judged", lambda held: f"{len(held)} are held against each other")
    monkeypatch.setattr(soak, "WARMING_H", 0.0)
    plan = soak.Plan(seed=1, rounds=2, operations=100, a_second=1000)
    with ground.scratch() as memory:
        lines = list(soak.run(plan, memory, hasty))
    assert [line.partition(":")[0] for line in lines[:2]] == ["round 1", "round 2"]
    assert lines[2] == "2 are held against each other"


def test_fault_72_what_is_held_must_not_grow() -> None:
    grows = [soak.Held(hours / 10, 100 + 0.5 * hours, 50, 45) for hours in range(10)]
    with pytest.raises(ground.Failed, match=r"\+5\.00 MB an hour"):
        soak._judged(grows)
    hidden = [soak.Held(hours / 10, 100, 50 + 0.2 * hours, 45) for hours in range(10)]
    with pytest.raises(ground.Failed, match=r"of its own \+2\.00"):
        soak._judged(hidden)
    stays = [soak.Held(hours / 10, 100 + hours % 2, 50, 45) for hours in range(10)]
    assert "45 descriptors all the while" in soak._judged(stays)
    with pytest.raises(ground.Failed, match="not constant"):
        soak._judged([*stays, soak.Held(1.0, 100, 50, 46)])
    assert soak._judged(stays[:1]) == "too short to be judged"


def test_what_programs_do_to_a_folder_is_told_by_every_command(hasty: Home) -> None:
    plan = stranger.Plan(seed=1, rounds=3, operations=40)
    with ground.scratch() as memory:
        assert len(list(stranger.run(plan, memory, hasty))) == plan.rounds
