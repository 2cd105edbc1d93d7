"""From paths to changes of the store: decoders, the embedder, and the queues between them."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgqd.embedder.asking import Asker
from imgqd.embedder.batches import Batches
from imgqd.embedder.bench import Bench
from imgqd.embedder.disks import Disks
from imgqd.embedder.gate import Gate
from imgqd.embedder.gathering import Feed, Unrecorded
from imgqd.embedder.jobs import Job, QueryPicture, Result, Turn, Work
from imgqd.embedder.lane import Lane, Shop
from imgqd.embedder.reading import Outlets, Reader
from imgqd.embedder.slab import Slabs
from imgqd.embedder.twins import Twins
from imgqd.pictures.formats import is_picture_name
from imgqd.pictures.handle import Decoder
from imgqd.stages import Stages

if TYPE_CHECKING:
    from imgqd.embedder.embedder import Embedder
    from imgqd.embedder.memory import Memory
    from imgqd.pictures.limits import Limits
    from imgqd.records import PixelSpec

# Enough for the embedder to have its next batch ready while it works on one.
SLOTS = 48
MOST_DECODERS = 16
GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Plant:
    """What a pipeline is built of."""

    pixels: PixelSpec
    limits: Limits
    decoders: int
    idle_unload: float
    new_embedder: Callable[[], Embedder]


class Pipeline:
    """Work goes in by `submit`, what became of it comes out of `results`. Who records those, takes the
    embedded ones off `unrecorded`: no more than a batch is ever on it."""

    def __init__(self, plant: Plant, memory: Memory) -> None:
        self.memory = memory
        self.results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self.unrecorded = Unrecorded()
        self.twins = Twins()
        self.stages = Stages()
        self._gate = Gate()
        self._work: queue.PriorityQueue[Turn] = queue.PriorityQueue()
        self._decoded: queue.PriorityQueue[Turn] = queue.PriorityQueue()
        self._slabs = Slabs()
        self._disks = Disks(memory)
        shop = self._shop(plant)
        count = plant.decoders or min(os.cpu_count() or 1, MOST_DECODERS)
        self.lanes = [Lane(shop) for _ in range(count)]
        self.batches = Batches(self._feed(), plant.new_embedder, plant.idle_unload)

    def _feed(self) -> Feed:
        return Feed(
            decoded=self._decoded,
            results=self.results,
            slabs=self._slabs,
            is_decoding=self._is_decoding,
            unrecorded=self.unrecorded,
            stages=self.stages,
        )

    def _shop(self, plant: Plant) -> Shop:
        outlets = Outlets(self._decoded, self.results, self.twins)
        return Shop(
            work=self._work,
            gate=self._gate,
            slabs=self._slabs,
            reader=Reader(self.memory, self._disks, outlets),
            asker=Asker(self.memory, self._disks, self._decoded),
            new_bench=lambda: Bench(Decoder(plant.pixels, SLOTS, plant.limits), SLOTS, self.stages),
        )

    def start(self) -> None:
        for lane in self.lanes:
            lane.start()
        self.batches.start()

    def stop(self) -> None:
        """Ends after the work under way; what waits is found again by the next scan."""
        self._disks.end()
        for lane in self.lanes:
            self._work.put(Turn.nothing())
            lane.end()
        self.batches.end()
        deadline = time.monotonic() + GRACE_S
        self.batches.join(GRACE_S)
        if self.batches.is_alive() and (pid := self.batches.pid) is not None:
            # In the middle of loading a model, or of a large batch.
            os.kill(pid, signal.SIGKILL)
        for lane in self.lanes:
            lane.join(max(deadline - time.monotonic(), 0))
            if lane.is_alive():
                lane.kill()
        for thread in (*self.lanes, self.batches):
            thread.join()
        self._slabs.close()

    def hold(self, who: str) -> None:
        """No more files are taken until `release`; queries are."""
        self._gate.hold(who)

    def release(self, who: str) -> None:
        self._gate.release(who)

    @property
    def takes_files(self) -> bool:
        return self._gate.is_open()

    def is_alive(self) -> bool:
        """Whether everything works that was started."""
        return all(thread.is_alive() for thread in (*self.lanes, self.batches))

    def submit(self, work: Work) -> None:
        if isinstance(work, QueryPicture) or (
            isinstance(work, Job)
            and self._gate.is_open()
            and is_picture_name(os.path.basename(work.path))
        ):
            self.batches.warm()
        self._work.put(Turn.of(work))

    @property
    def restarts(self) -> int:
        return self.batches.restarts + sum(lane.restarts for lane in self.lanes)

    def pids(self) -> list[int]:
        """Of the processes that work for it now."""
        pids = [self.batches.pid, *(lane.pid for lane in self.lanes)]
        return [pid for pid in pids if pid is not None]

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of Linux's barriers around a decoder this kernel does not have."""
        return max((lane.missing for lane in self.lanes), key=len)

    def _is_decoding(self) -> bool:
        return not self._work.empty() or any(lane.busy for lane in self.lanes)
