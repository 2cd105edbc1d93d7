"""From paths to changes of the store: decoders, the embedder, and the queues between them."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imgqd import machine
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
from imgqd.health.stages import Stages
from imgqd.pictures.formats import is_picture_name
from imgqd.pictures.handle import Decoder

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
    tell_speed: Callable[[float], None] = lambda rate: None


@dataclass(frozen=True, slots=True)
class Common:
    """What the pipelines of several models share. gate: whether any of them takes files."""

    results: queue.SimpleQueue[Result | None] = field(default_factory=queue.SimpleQueue)
    stages: Stages = field(default_factory=Stages)
    gate: Gate = field(default_factory=Gate)


class Pipeline:
    """Work for one model goes in by `submit`, what became of it comes out of `results`. Who records those,
    takes the embedded ones off `unrecorded`: no more than a batch is ever on it."""

    def __init__(self, plant: Plant, memory: Memory, common: Common | None = None) -> None:
        common = common or Common()
        self.memory = memory
        self.results = common.results
        self.unrecorded = Unrecorded()
        self.twins = Twins()
        self.stages = common.stages
        self._gate = Gate(common.gate)
        self._work: queue.PriorityQueue[Turn] = queue.PriorityQueue()
        self._decoded: queue.PriorityQueue[Turn] = queue.PriorityQueue()
        self._slabs = Slabs()
        self._disks = Disks(memory)
        self._tell_speed = plant.tell_speed
        count = plant.decoders or min(machine.cores(), MOST_DECODERS)
        shop = self._shop(plant, count)
        self.lanes = [Lane(shop) for _ in range(count)]
        self.batches = Batches(self._feed(), plant.new_embedder, plant.idle_unload)

    def _feed(self) -> Feed:
        return Feed(
            decoded=self._decoded,
            put=self.put,
            slabs=self._slabs,
            is_decoding=self._is_decoding,
            unrecorded=self.unrecorded,
            stages=self.stages,
        )

    def _shop(self, plant: Plant, lanes: int) -> Shop:
        outlets = Outlets(self._decoded, self.put, self.twins)
        return Shop(
            lanes=lanes,
            work=self._work,
            gate=self._gate,
            slabs=self._slabs,
            reader=Reader(self.memory, self._disks, outlets),
            asker=Asker(self.memory, self._disks, self._decoded),
            new_bench=lambda: Bench(Decoder(plant.pixels, SLOTS, plant.limits), SLOTS, self.stages),
        )

    def put(self, result: Result) -> None:
        """Tells what became of a job."""
        self.results.put(replace(result, source=self))

    def start(self) -> None:
        """Raises RuntimeError where the system has too few threads; none of them is left then."""
        self.batches.start()
        try:
            for lane in self.lanes:
                lane.start()
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends after the work under way; what waits is found again by the next scan."""
        self._disks.end()
        lanes = [lane for lane in self.lanes if lane.ident is not None]
        for lane in lanes:
            self._work.put(Turn.nothing())
            lane.end()
        self.batches.end()
        deadline = time.monotonic() + GRACE_S
        self.batches.join(GRACE_S)
        if self.batches.is_alive() and (pid := self.batches.pid) is not None:
            # In the middle of loading a model, or of a large batch.
            os.kill(pid, signal.SIGKILL)
        for lane in lanes:
            lane.join(max(deadline - time.monotonic(), 0))
            if lane.is_alive():
                lane.kill()
        for thread in (*lanes, self.batches):
            thread.join()
        self._slabs.close()
        if self.batches.fastest:
            self._tell_speed(self.batches.fastest)

    def hold(self, who: str) -> None:
        """No more files are taken until `release`; queries are."""
        self._gate.hold(who)

    def release(self, who: str) -> None:
        self._gate.release(who)

    def drop_jobs(self) -> None:
        """Files that wait are no longer this pipeline's to read; whatever else there is goes on."""
        kept: list[Turn] = []
        with suppress(queue.Empty):
            while True:
                turn = self._work.get_nowait()
                if not isinstance(turn.work, Job):
                    kept.append(turn)
        for turn in kept:
            self._work.put(turn)

    @property
    def is_busy(self) -> bool:
        """Whether somebody may wait for what it does."""
        return self._is_decoding() or not self._decoded.empty()

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

    @property
    def trouble(self) -> str:
        """Why no decoder can be had, empty where there is one."""
        troubles = [lane.trouble for lane in self.lanes]
        return troubles[0] if all(troubles) else ""

    def _is_decoding(self) -> bool:
        return not self._work.empty() or any(lane.busy for lane in self.lanes)
