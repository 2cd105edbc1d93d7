"""What C's allocator holds for the daemon's many threads."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from imgqd.health import allocator

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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this is not glibc")
def test_threads_share_a_few_arenas() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < done.stderr.count("Arena ") <= allocator.ARENAS
