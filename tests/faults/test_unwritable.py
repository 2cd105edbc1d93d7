"""An index that may not be written: it says so and ends, and nothing is taken for damage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import oracle
import plugs
from conftest import Home
from pictures import jpeg


def refused(home: Home, place: Path) -> str:
    """What the daemon says when it starts while the place is read-only."""
    plugs.mount("--bind", place, place)
    try:
        plugs.mount("-o", "remount,bind,ro", place)
        with pytest.raises(AssertionError, match="'exit_code': 4") as error:
            home.start()
        assert home.daemon is not None
        assert home.daemon.wait(10) == 4
    finally:
        plugs.pull(place)
    assert not [name for name in os.listdir(home.store.parent) if "damaged" in name]
    assert "Traceback" not in home.log
    return str(error.value)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_fault_44_an_index_that_may_not_be_written(
    new_home: Callable[..., Home], what: str
) -> None:
    home = new_home().start()
    home.watch()
    jpeg(home.pictures / "red.jpg", "red")
    oracle.check(home, home.pictures)
    assert home.stop() == 0
    words = refused(home, home.store.parent if what == "folder" else home.store)
    assert f"the index {home.store}" in words
    assert "let its owner read and write" in words
    home.start()
    oracle.check(home, home.pictures)
    assert home.embedded() == 1
