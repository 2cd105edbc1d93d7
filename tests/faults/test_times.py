"""Times that are odd, and a clock that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import oracle
import tiny
from conftest import Home

YEAR_S = 365 * 86_400


def test_fault_35_times_far_from_now(new_home: Callable[..., Home]) -> None:
    home = new_home()
    home.plant("short_youth")
    home.start()
    home.watch()
    moments = (-YEAR_S, 0, 2**31, 2**32 - 1, 2**32 + 1, 2**33)

    def put(name: str, first: int) -> None:
        for number, then in enumerate(moments):
            place = home.pictures / f"{name}{number}.png"
            place.write_bytes((tiny.broken if name == "broken" else tiny.png)(first + number))
            os.utime(place, (then, then))

    put("old", 0)
    oracle.check(home, home.pictures)
    put("new", 10)
    put("broken", 20)
    oracle.agree(home, home.pictures)
    oracle.check(home, home.pictures)
    before = home.json("status")["counters"]
    home.imgq("wait")
    assert home.json("status")["counters"] | {"rescans": 0} == before | {"rescans": 0}
    assert home.embedded() == 2 * len(moments)
    put("old", 30)
    oracle.agree(home, home.pictures)
    assert home.embedded() == 3 * len(moments)


@pytest.mark.parametrize("jump", [YEAR_S, -YEAR_S])
def test_fault_35_a_clock_that_jumps(new_home: Callable[..., Home], jump: int) -> None:
    home = new_home()
    clock = home.folder / "clock"
    clock.write_text("0")
    home.environment["IMGQ_TEST_CLOCK"] = str(clock)
    home.plant("other_clock")
    home.start()
    home.watch()
    write(home, range(20))
    oracle.check(home, home.pictures)
    for wrong in (jump, 0):
        beside = clock.with_name("beside")
        beside.write_text(str(wrong))
        beside.rename(clock)
        before = home.embedded()
        oracle.check(home, home.pictures)
        assert home.embedded() == before
        write(home, range(10, 30), 100 + abs(wrong))
        (home.pictures / "0.png").rename(home.pictures / "moved.png")
        oracle.agree(home, home.pictures)
        (home.pictures / "moved.png").rename(home.pictures / "0.png")
        (home.pictures / "broken.png").write_bytes(tiny.broken(wrong % 1000))
        oracle.check(home, home.pictures)
        assert home.embedded() == before + 20


def write(home: Home, names: range, first: int = 0) -> None:
    for number in names:
        (home.pictures / f"{number}.png").write_bytes(tiny.png(first + number))
