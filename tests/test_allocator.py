"""What C's allocator holds for the daemon's many threads."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from conftest import Home, until
from imgqd.health import allocator
from imgqd.health.upkeep import Work

# Threads that each hold some memory at the same time, and what glibc tells of its arenas.
PROGRAM = """
import ctypes, threading
import imgqd.__main__

libc = ctypes.CDLL(None)
together = threading.Barrier(20)

def work():
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()

threads = [threading.Thread(target=work) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


# Memory that lies free below the one block that is still in use, before and after.
FREED = """
import ctypes
import psutil
from imgqd.health import allocator

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(ctypes.c_size_t(1000)) for _ in range(40_000)]
for block in blocks[:-1]:
    libc.free(ctypes.c_void_p(block))
held = psutil.Process().memory_info().rss
allocator.give_back()
print(held - psutil.Process().memory_info().rss)
"""
pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this is not glibc"
)


def test_what_is_free_below_what_is_used_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10_000_000


def test_a_daemon_does_so_now_and_then(new_home: Callable[..., Home]) -> None:
    home = new_home()
    home.plant("gives_back")
    home.start()
    until(lambda: home.log.count("pages forgotten\ncircles cut\ngiven back") >= 2)


def test_a_daemon_at_rest_does_nothing_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    work, clock, processor = Work(), 1000.0, 5.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(time, "process_time", lambda: processor)
    assert work.is_enough()
    clock += 3600
    assert not work.is_enough()
    processor += 1
    assert work.is_enough()
    processor += 1
    assert not work.is_enough()
    clock += 60
    assert work.is_enough()


def test_threads_share_a_few_arenas() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < done.stderr.count("Arena ") <= allocator.ARENAS
