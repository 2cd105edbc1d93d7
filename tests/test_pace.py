"""A child's time is what it has of processors, while it waits for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from conftest import until
from imgqd.pictures.pace import LEAST_SHARE, Pace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NewChild = Callable[[str], psutil.Process]


@pytest.fixture
def child() -> Iterator[NewChild]:
    made: list[subprocess.Popen[bytes]] = []

    def new(act: str) -> psutil.Process:
        code = f"import signal; print(flush=True); {act}"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        made.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        return psutil.Process(process.pid)

    yield new
    for each in made:
        each.kill()
        each.wait()


def test_all_time_counts_for_who_waits_for_something_else(child: NewChild) -> None:
    idle = child("signal.pause()")
    until(lambda: idle.status() == psutil.STATUS_SLEEPING, "its rest")
    assert Pace(idle.pid).taken(10.0) == 10.0


def test_all_time_counts_for_who_is_stopped(child: NewChild) -> None:
    """A picture that took a decoder over could stop it, and hold its lane for ever."""
    busy = child("\nwhile True: pass")
    os.kill(busy.pid, signal.SIGSTOP)
    until(lambda: busy.status() == psutil.STATUS_STOPPED, "its stop")
    assert Pace(busy.pid).taken(10.0) == 10.0


def test_who_works_is_charged_with_its_work_alone(child: NewChild) -> None:
    """And with a third of the time by the clock at least."""
    busy = child("\nwhile True: pass")
    worked = busy.cpu_times()
    before = worked.user + worked.system
    pace = Pace(busy.pid)
    until(lambda: sum(busy.cpu_times()[:2]) > before + 0.1, "some work")
    charged = pace.taken(0.2)
    worked = busy.cpu_times()
    assert 0.08 < charged <= worked.user + worked.system - before + 0.02
    assert pace.taken(0.0) == 0.0
    assert pace.taken(1000.0) == 1000.0 * LEAST_SHARE


def test_all_time_counts_where_nothing_is_told() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert Pace(gone.pid).taken(10.0) == 10.0
