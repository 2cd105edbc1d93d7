"""Planted in a daemon: it gives memory back every moment, and tells of it."""

from __future__ import annotations

import gc
import sys
from unittest import mock

from fake_embedder import FakeTexts
from imgqd.health import allocator, upkeep
from imgqd.store.store import Store

__all__ = ["FakeTexts"]


def _told() -> None:
    sys.stderr.write("given back\n")


def _told_of_circles() -> int:
    sys.stderr.write("circles cut\n")
    return 0


def _told_of_pages(store: Store) -> None:
    sys.stderr.write("pages forgotten\n")


upkeep.MEMORY_S, upkeep.WORK_S = 0.1, 0.0
mock.patch.object(Store, "free_memory", _told_of_pages).start()
mock.patch.object(gc, "collect", _told_of_circles).start()
mock.patch.object(allocator, "give_back", _told).start()
