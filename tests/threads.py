"""A system that has no thread left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(name: str = "", after: int = 0) -> Iterator[None]:
    """Threads whose name begins so are refused, but for the first ones."""
    begin, begun = threading.Thread.start, 0

    def start(thread: threading.Thread) -> None:
        nonlocal begun
        if thread.name.startswith(name):
            if begun == after:
                raise RuntimeError("can't start new thread")
            begun += 1
        begin(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        yield
