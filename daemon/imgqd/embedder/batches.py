"""The embedder's thread: starts it and ends it, and has batches embedded."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from imgq.errors import Refused
from imgqd.embedder.embedder import Embedder, EmbedderError
from imgqd.embedder.gathering import Feed, gather
from imgqd.embedder.jobs import Asked, Decoded, Hashed, QueryVector, Result, Turn
from imgqd.embedder.tower import Ready
from imgqd.records import Failed, Failure, Metadata

log = logging.getLogger(__name__)

# An embedder that dies again and again is started ever more seldom.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# The first batch of an embedder is so large, in two passes, and each after it twice the one before: who is
# killed again and again has soon recorded something.
FIRST_BATCH = 2
# An embedder that died of several pictures is given half as many at a time; after so many passes it may
# have twice as many again: it was not memory, or there is more of it by now.
SURE = 64
# So many batches tell how fast it is.
ENOUGH = 16
_NO_VECTOR = Failure("damaged", "the model gave no usable vector for it")


class Batches(threading.Thread):
    """Starts the embedder when there is something to embed, ends it after `idle_unload` seconds without."""

    def __init__(
        self, feed: Feed, new_embedder: Callable[[], Embedder], idle_unload: float
    ) -> None:
        super().__init__(name="embedder", daemon=True)
        self._feed = feed
        self._new_embedder = new_embedder
        self._idle_unload = idle_unload
        self._embedder: Embedder | None = None
        self._attached: set[int] = set()
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._pause = FIRST_PAUSE_S
        self._most, self._bearable = FIRST_BATCH, sys.maxsize
        self._sure = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=64)
        self.ready: Ready | None = None
        self.state = "unloaded"
        self.trouble: str | None = None
        self.restarts = 0
        self.fastest = 0.0

    @property
    def pid(self) -> int | None:
        embedder = self._embedder
        return embedder.pid if embedder else None

    @property
    def rate(self) -> float:
        """Pictures a second over the last batches, 0 where none was embedded for 5 s."""
        recent = list(self._recent)
        if len(recent) < 2 or time.monotonic() - recent[-1][0] > 5:
            return 0.0
        return sum(count for _, count in recent[1:]) / max(recent[-1][0] - recent[0][0], 1e-3)

    def warm(self) -> None:
        """Something is coming: the model may load while it is decoded."""
        if self._embedder is None and not self._wanted.is_set():
            self._wanted.set()
            self._feed.decoded.put(Turn.nothing())

    def run(self) -> None:
        while not self._ending.is_set():
            batch = self._gather()
            if batch is None:
                self._unload()
            elif batch:
                self._embed(batch)
        self._unload()

    def end(self) -> None:
        self._ending.set()
        self._feed.decoded.put(Turn.nothing())

    def _gather(self) -> list[Decoded] | None:
        """The next batch; None where nothing came for as long as the embedder is kept."""
        try:
            # Without an embedder there is nothing to end: `warm` wakes, or the first picture does.
            wait = self._idle_unload if self._embedder is not None else None
            first = self._feed.decoded.get(timeout=wait)
        except queue.Empty:
            return None
        if self._wanted.is_set():
            self._wanted.clear()
            if self._embedder is None and not self._ending.is_set():
                self._load()
        return gather(self._feed, first, self._most)

    def _embed(self, batch: list[Decoded]) -> None:
        """All of them, in as many parts as the embedder can bear."""
        left = batch
        while left and not self._ending.is_set():
            if self._embedder is None and not self._load():
                self._give_up_queries(left)
                continue
            part = left[: self._most // 2]
            try:
                with self._feed.stages.timed("embed", len(part)):
                    vectors = self._vectors(part)
            except EmbedderError as error:
                # Most likely of their number: for want of memory a system ends a process without a word.
                if len(part) > 1:
                    self._bearable = len(part)
                self._lost(str(error))
                continue
            self._pause = FIRST_PAUSE_S
            self._recent.append((time.monotonic(), len(part)))
            if len(self._recent) >= ENOUGH:
                self.fastest = max(self.fastest, self.rate)
            self._deliver(part, vectors)
            left = left[len(part) :]
            self._dare()
            self._collect()

    def _dare(self) -> None:
        """More at a time, after what went well."""
        assert self.ready is not None
        self._sure += 1
        if self._sure == SURE:
            self._sure, self._bearable = 0, min(2 * self._bearable, self.ready.batch)
        self._most = min(2 * self._most, self._bearable)

    def _vectors(self, batch: list[Decoded]) -> Sequence[np.ndarray | None]:
        assert self._embedder is not None
        for key in {picture.slab for picture in batch} - self._attached:
            slab = self._feed.slabs.get(key)
            self._embedder.attach(key, slab.descriptor, slab.slots)
            self._attached.add(key)
        return self._embedder.embed([(picture.slab, picture.slot) for picture in batch])

    def _deliver(self, batch: list[Decoded], vectors: Sequence[np.ndarray | None]) -> None:
        results: list[Result] = []
        for picture, vector in zip(batch, vectors, strict=True):
            self._feed.slabs.get(picture.slab).release(picture.slot)
            if isinstance(picture.read, Asked):
                answer = _NO_VECTOR if vector is None else QueryVector(picture.read.hash, vector)
                picture.read.job.answer.set_result(answer)
            else:
                results.append(_result(picture.read, picture.metadata, vector))
        self._feed.unrecorded.add(sum(result.embedded for result in results))
        for result in results:
            self._feed.put(result)

    def _collect(self) -> None:
        for key in self._feed.slabs.collect():
            if key not in self._attached or self._embedder is None:
                continue
            self._attached.discard(key)
            try:
                self._embedder.detach(key)
            except EmbedderError as error:
                self._lost(str(error))

    def _load(self) -> bool:
        """Starts an embedder and waits until its model is loaded."""
        self.state = "loading"
        try:
            self._embedder = self._new_embedder()
            self.ready = self._embedder.ready()
        except (EmbedderError, OSError) as error:
            self._lost(str(error))
            return False
        self.state, self.trouble = "ready", None
        self._sure, self._bearable = 0, max(min(self._bearable, self.ready.batch), 2)
        self._most = FIRST_BATCH
        return True

    def _lost(self, reason: str) -> None:
        """The embedder died or could not load: a pause, that it does not spin."""
        log.warning("the embedder is started again in %.0f s: %s", self._pause, reason)
        self._unload()
        self.state, self.trouble = "failed", reason
        self.restarts += 1
        self._ending.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_S)

    def _unload(self) -> None:
        if self._embedder is not None:
            self._embedder.close()
        self._embedder, self._attached, self.state = None, set(), "unloaded"

    def _give_up_queries(self, batch: list[Decoded]) -> None:
        """A person does not wait for an embedder that does not come up; files do."""
        failure = Refused(f"the model cannot embed pictures: {self.trouble}")
        for picture in batch.copy():
            if isinstance(picture.read, Asked):
                batch.remove(picture)
                self._feed.slabs.get(picture.slab).release(picture.slot)
                picture.read.job.answer.set_exception(failure)


def _result(read: Hashed, metadata: Metadata, vector: np.ndarray | None) -> Result:
    if vector is None:
        failed = Failed(read.job.path, read.stamp, _NO_VECTOR, read.hash, of_model=True)
        return Result(read.job, failed, decoded=True)
    indexed = replace(read.row, metadata=metadata, embedding=vector)
    return Result(read.job, indexed, decoded=True, embedded=True)
