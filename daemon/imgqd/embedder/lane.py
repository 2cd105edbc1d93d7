"""A thread and its decoder: takes work, and has another decoder when one is lost."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgq.errors import CannotStart
from imgqd.embedder.asking import Asker
from imgqd.embedder.bench import Bench
from imgqd.embedder.gate import Gate
from imgqd.embedder.jobs import Decoded, Job, Noting, QueryPicture, ThumbnailOf, Turn, Work
from imgqd.embedder.reading import Reader
from imgqd.embedder.slab import Slabs
from imgqd.pictures.handle import MOST_TOGETHER, DecoderLost
from imgqd.records import Failure

log = logging.getLogger(__name__)

RESTART_S = 2.0
# While no file is to be taken, a query waits no longer than this.
HELD_S = 0.5


@dataclass(frozen=True, slots=True)
class Shop:
    """What all lanes share. gate: whether files are taken now; queries always are."""

    lanes: int
    work: queue.PriorityQueue[Turn]
    gate: Gate
    slabs: Slabs
    reader: Reader
    asker: Asker
    new_bench: Callable[[], Bench]


class Lane(threading.Thread):
    """Takes work until the end of the queue. A decoder that dies costs one file and is replaced."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(name="decoder", daemon=True)
        self._shop = shop
        self._bench: Bench | None = None
        self._ending = threading.Event()
        self.restarts = 0
        self.busy = False
        # Why none can be had.
        self.trouble = ""

    @property
    def pid(self) -> int | None:
        bench = self._bench
        return bench.decoder.pid if bench else None

    @property
    def missing(self) -> tuple[str, ...]:
        bench = self._bench
        return bench.decoder.missing if bench else ()

    def run(self) -> None:
        # A decoder ends with the thread that made it.
        bench = self._begin()
        while bench is not None and (work := self._next()) is not None:
            self.busy = True
            if isinstance(work, Job) and work.alone and not bench.decoder.is_new:
                bench = self._another(bench)
            if bench is not None:
                self._do(bench, work)
                if bench.lost is not None or bench.decoder.is_worn:
                    bench = self._another(bench)
            self.busy = False
        if bench is not None:
            bench.decoder.close()

    def end(self) -> None:
        """Lets the thread go that may wait for a slot."""
        self._ending.set()
        if (bench := self._bench) is not None:
            bench.slab.end()

    def kill(self) -> None:
        """Ends the work under way, which may take longer than anybody wants to wait."""
        if (bench := self._bench) is not None:
            bench.decoder.kill()

    def _next(self) -> Work | None:
        while True:
            work = self._shop.work.get().work
            assert not isinstance(work, Decoded)
            if not isinstance(work, Job) or self._shop.gate.is_open():
                return work
            self._shop.work.put(Turn.of(work))
            self._shop.gate.wait(HELD_S)

    def _do(self, bench: Bench, work: Work) -> None:
        works: Sequence[Work] = self._with_others(bench, work) if isinstance(work, Job) else [work]
        left: Sequence[Work] = ()
        try:
            left = self._take(bench, works)
        except DecoderLost:
            left = works
        except Exception as error:
            log.exception("a lane failed on its work: this is a bug")
            for each in works:
                self._fail(each, Failure("unreadable", f"imgq failed on it: {error}"))
        for each in left:
            self._shop.work.put(Turn.of(each))

    def _take(self, bench: Bench, works: Sequence[Work]) -> Sequence[Work]:
        """Those that another decoder is to do."""
        match works:
            case [QueryPicture() as work]:
                self._shop.asker.query(bench, work)
            case [ThumbnailOf() as work]:
                self._shop.asker.thumbnail(bench, work)
            case [Noting() as work]:
                self._shop.asker.note(bench, work)
            case _:
                jobs = [work for work in works if isinstance(work, Job)]
                return self._shop.reader.read(bench, jobs)
        return ()

    def _with_others(self, bench: Bench, job: Job) -> list[Job]:
        """Small files are read together: each takes little longer than to ask for it."""
        jobs = [job]
        if self._shop.reader.goes_with_others(job):
            share = 1 + self._shop.work.qsize() // self._shop.lanes
            most = min(MOST_TOGETHER, share, bench.slab.slots)
            while len(jobs) < most and (other := self._other()) is not None:
                jobs.append(other)
        return jobs

    def _other(self) -> Job | None:
        """The next work, where it is a small file."""
        with suppress(queue.Empty):
            turn = self._shop.work.get_nowait()
            if isinstance(turn.work, Job) and self._shop.reader.goes_with_others(turn.work):
                return turn.work
            self._shop.work.put(turn)
        return None

    def _fail(self, work: Work, failure: Failure) -> None:
        if isinstance(work, Job):
            self._shop.reader.fail(work, failure)
        else:
            self._shop.asker.fail(work, failure)

    def _begin(self) -> Bench | None:
        """A decoder, as soon as one can be had; None where the pipeline ends."""
        while not self._ending.is_set():
            try:
                self._bench = self._shop.new_bench()
            except CannotStart as error:
                log.error("%s", error)
                self.trouble = error.message
                self._ending.wait(RESTART_S)
                continue
            self.trouble = ""
            self._shop.slabs.add(self._bench.slab)
            return self._bench
        return None

    def _another(self, bench: Bench) -> Bench | None:
        if bench.lost is not None:
            log.warning("a decoder is replaced: %s", bench.lost.failure.reason)
            self.restarts += 1
        self._bench = None
        bench.decoder.close()
        self._shop.slabs.retire(bench.slab)
        return self._begin()
