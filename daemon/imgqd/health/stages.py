"""How long each stage of the work has taken, over all that work beside each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

# A picture's way, in its order; whatever else is timed comes after these.
PIPELINE = ("read", "decode", "embed", "write")


@dataclass(frozen=True, slots=True)
class Stage:
    """seconds: on the clock, added up over threads; count: the pictures, or questions, in them."""

    name: str
    seconds: float
    count: int


class Stages:
    """Totals since the daemon's start, for all threads together."""

    def __init__(self, first: Sequence[str] = PIPELINE) -> None:
        """first: what is there from the start, in this order."""
        self._lock = threading.Lock()
        self._totals = {name: Stage(name, 0.0, 0) for name in first}

    def add(self, stage: str, seconds: float, pictures: int = 1) -> None:
        with self._lock:
            so_far = self._totals.get(stage, Stage(stage, 0.0, 0))
            self._totals[stage] = Stage(stage, so_far.seconds + seconds, so_far.count + pictures)

    @contextmanager
    def timed(self, stage: str, pictures: int = 1) -> Iterator[None]:
        """Adds what the block takes, unless it raises."""
        began = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - began, pictures)

    def snapshot(self) -> tuple[Stage, ...]:
        with self._lock:
            return tuple(self._totals.values())
