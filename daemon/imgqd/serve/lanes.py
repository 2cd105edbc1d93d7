"""The threads that think. Prompt requests never wait behind patient ones, which may wait for a model or the
embedder, and neither behind those that wait for the index."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from imgq import wire
from imgqd.serve.job import Job

PROMPT_THREADS = 3
PATIENT_THREADS = 12
SETTLING_THREADS = 12
MOST_WAITING = 256

_PATIENT = tuple(name.encode() for name, cls in wire.REQUESTS.items() if cls.patient)

Lane = queue.Queue[Job | None]
Done = Callable[[Job, bytes, bool], None]


class Lanes:
    """Three pools, each with a queue of its own."""

    def __init__(self, done: Done) -> None:
        """done: is called, by any of the threads, with a job's next reply, and whether others follow."""
        self._done = done
        self._running = True
        self._prompt = self._opened(PROMPT_THREADS)
        self._patient = self._opened(PATIENT_THREADS)
        self._settling = self._opened(SETTLING_THREADS)

    def put(self, job: Job) -> None:
        """Raises queue.Full."""
        self._of(job.head).put_nowait(job)

    def _of(self, head: bytes) -> Lane:
        """By the name of the request near the frame's start; the message is read later."""
        if b"Settle" in head:
            return self._settling
        return self._patient if any(name in head for name in _PATIENT) else self._prompt

    def close(self) -> None:
        """Whoever still thinks is not waited for."""
        self._running = False
        for lane in (self._prompt, self._patient, self._settling):
            with contextlib.suppress(queue.Full):
                while True:
                    lane.put_nowait(None)

    def _opened(self, threads: int) -> Lane:
        lane: Lane = queue.Queue(MOST_WAITING)
        for _ in range(threads):
            threading.Thread(target=self._think, args=(lane,), daemon=True).start()
        return lane

    def _think(self, lane: Lane) -> None:
        while self._running and (job := lane.get()) is not None:
            self._think_of(job)
            # What it holds may be large.
            del job

    def _think_of(self, job: Job) -> None:
        if job.peer.is_gone:
            return
        began = time.thread_time()
        reply = job.next()
        job.cost += time.thread_time() - began
        self._done(job, *reply)
