"""The threads that think. Prompt requests never wait behind patient ones, which may wait for a model or the
embedder, and neither behind those that wait for the index."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable

from imgq import wire
from imgqd.manners import precedence
from imgqd.serve.job import Job
from imgqd.serve.line import AT_A_TIME
from imgqd.serve.turns import Lately, Turns

PROMPT_THREADS = 3
PATIENT_THREADS = 12
SLOW_THREADS = 12
# Of one process, over all its connections: the flood on one leaves room for another.
OF_ONE_PROCESS = AT_A_TIME + 1
# Who waits for the index takes no time of a core, but a thread, and there are others who wait.
SLOW_OF_ONE_PROCESS = SLOW_THREADS // 3


def _heads(names: Iterable[str]) -> tuple[bytes, ...]:
    """How msgpack writes the names of requests."""
    return tuple(bytes((0xA0 + len(name),)) + name.encode() for name in names)


_PATIENT = _heads(name for name, cls in wire.REQUESTS.items() if cls.patient)
_SLOW = _heads(name for name, cls in wire.REQUESTS.items() if cls.slow)
# A list, the protocol, a number, and a name: no other words of a request come so early.
_HEAD = 1 + 1 + 5 + max(len(name) + 1 for name in wire.REQUESTS)

Done = Callable[[Job, bytes | None, bool], None]


class Lanes:
    """Three pools, each with turns of its own, in which who crowds one rests while another asks any."""

    def __init__(self, done: Done) -> None:
        """done: is called, by any of the threads, with a job's next reply, if there is one by now, and
        whether others follow."""
        self._done = done
        lately = Lately()
        self._prompt = self._opened(PROMPT_THREADS, Turns(OF_ONE_PROCESS, lately))
        self._patient = self._opened(PATIENT_THREADS, Turns(OF_ONE_PROCESS, lately))
        self._slow = self._opened(SLOW_THREADS, Turns(SLOW_OF_ONE_PROCESS, lately), first=False)

    def put(self, job: Job) -> None:
        """Raises queue.Full."""
        self._of(job.head).put(job)

    def _of(self, head: bytes) -> Turns:
        """By the name of the request at the frame's start; the message is read later."""
        if any(name in head[:_HEAD] for name in _SLOW):
            return self._slow
        return self._patient if any(name in head[:_HEAD] for name in _PATIENT) else self._prompt

    def hold(self, process: int, is_held: bool) -> None:
        """Whether nothing more is thought of for a process, for now."""
        for turns in (self._prompt, self._patient, self._slow):
            turns.hold(process, is_held)

    def close(self) -> None:
        """Whoever still thinks is not waited for."""
        for turns in (self._prompt, self._patient, self._slow):
            turns.close()

    def _opened(self, threads: int, turns: Turns, *, first: bool = True) -> Turns:
        """first: whether indexing stops meanwhile."""
        for _ in range(threads):
            threading.Thread(target=self._think, args=(turns, first), daemon=True).start()
        return turns

    def _think(self, turns: Turns, first: bool) -> None:
        while (job := turns.take()) is not None:
            self._think_of(job, first)
            turns.leave(job)
            # What it holds may be large.
            del job

    def _think_of(self, job: Job, first: bool) -> None:
        if job.peer.has_hung_up:
            return
        began = time.thread_time()
        with precedence.taken() if first else contextlib.nullcontext():
            reply = job.next()
        job.cost += time.thread_time() - began
        self._done(job, *reply)
