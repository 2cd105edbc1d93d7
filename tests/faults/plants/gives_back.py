"""Planted in a daemon: it gives memory back every moment, and tells of it."""

from __future__ import annotations

import sys

from fake_embedder import FakeTexts
from imgqd.health import allocator, upkeep

__all__ = ["FakeTexts"]


def _told() -> None:
    sys.stderr.write("given back\n")


upkeep.MEMORY_S = 0.1
allocator.give_back = _told
