"""The shared memory between a decoder and the embedder, slot by slot."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_keys = itertools.count(1)


@dataclass(slots=True)
class Lease:
    """kept: its pixels go on to the embedder, which gives the slot back."""

    slab: int
    slot: int
    kept: bool = False


class Slab:
    """One decoder's slots. It outlives its decoder until the last picture in it is embedded."""

    def __init__(self, descriptor: int, slots: int) -> None:
        self.key = next(_keys)
        self.descriptor = os.dup(descriptor)
        self.slots = slots
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)

    @contextmanager
    def leased(self) -> Iterator[Lease | None]:
        """A free slot, when there is one, which is given back at the end unless it is kept; None where
        the pipeline ends."""
        slot = self._free.get()
        if slot is None:
            yield None
            return
        lease = Lease(self.key, slot)
        try:
            yield lease
        finally:
            if not lease.kept:
                self.release(slot)

    def release(self, slot: int) -> None:
        self._free.put(slot)

    def end(self) -> None:
        """Wakes a decoder that waits for a slot."""
        self._free.put(None)

    @property
    def is_idle(self) -> bool:
        return self._free.qsize() >= self.slots


class Slabs:
    """All slabs by key: decoders come and go, the embedder asks for them by number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[int, Slab] = {}
        self._retired: set[int] = set()

    def add(self, slab: Slab) -> None:
        with self._lock:
            self._by_key[slab.key] = slab

    def get(self, key: int) -> Slab:
        with self._lock:
            return self._by_key[key]

    def retire(self, slab: Slab) -> None:
        """Its decoder is gone; `collect` takes it away once it is idle."""
        with self._lock:
            self._retired.add(slab.key)

    def collect(self) -> list[int]:
        """Closes what is retired and idle; the keys of those, for the embedder to forget."""
        with self._lock:
            gone = [key for key in self._retired if self._by_key[key].is_idle]
            for key in gone:
                self._retired.discard(key)
                os.close(self._by_key.pop(key).descriptor)
        return gone

    def close(self) -> None:
        with self._lock:
            for slab in self._by_key.values():
                os.close(slab.descriptor)
            self._by_key.clear()
