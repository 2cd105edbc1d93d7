"""Which decoded pictures are embedded together, and when."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from imgqd.embedder.jobs import Decoded, Hashed, Result, Turn
from imgqd.embedder.slab import Slabs
from imgqd.health.stages import Stages

# A batch is not waited for longer than this while decoders are at work.
GATHER_S = 0.1
# While nothing can be recorded, a query's picture waits no longer than this.
HELD_S = 0.5


class Unrecorded:
    """How many pictures are embedded and not in the store: what a kill would waste."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def add(self, pictures: int) -> None:
        """More of them, or, below zero, less."""
        with self._changed:
            self._count += pictures
            self._changed.notify_all()

    def leave_room(self, more: int, most: int, timeout: float) -> bool:
        """Whether `more` would make `most` at the most, within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count + more <= most, timeout)


@dataclass(frozen=True, slots=True)
class Feed:
    """What the embedder's thread takes from, and what it gives to."""

    decoded: queue.PriorityQueue[Turn]
    put: Callable[[Result], None]
    slabs: Slabs
    is_decoding: Callable[[], bool]
    unrecorded: Unrecorded
    stages: Stages


def gather(feed: Feed, first: Turn, most: int) -> list[Decoded]:
    """The pictures of a forward pass, which begin with `first`: half a batch, so that one half is embedded
    while the other is recorded. Files wait while a batch of them is not recorded: no kill wastes more than
    that. Queries do not wait."""
    batch: list[Decoded] = []
    end = time.monotonic() + GATHER_S
    turn: Turn | None = first
    while turn is not None:
        timeout = 0.0 if batch else HELD_S
        if _is_file(turn) and not feed.unrecorded.leave_room(len(batch) + 1, most, timeout):
            feed.decoded.put(turn)
            break
        if isinstance(turn.work, Decoded):
            batch.append(turn.work)
        turn = _next(feed, end) if len(batch) < most // 2 else None
    return batch


def _is_file(turn: Turn) -> bool:
    return isinstance(turn.work, Decoded) and isinstance(turn.work.read, Hashed)


def _next(feed: Feed, end: float) -> Turn | None:
    """What else is decoded by then; None where nothing is."""
    while True:
        try:
            return feed.decoded.get_nowait()
        except queue.Empty:
            if not feed.is_decoding() or time.monotonic() > end:
                return None
        time.sleep(0.002)
