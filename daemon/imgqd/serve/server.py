"""The ROUTER and its threads: one moves frames, three small pools think.

Prompt requests never wait behind patient ones, which may wait for a model or the embedder, and neither
behind those that wait for the index. Queues are bounded, and so is what one client may have under way:
who floods is told so, and harms nobody else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import resource
import threading
import time
from collections import Counter
from typing import Any

import zmq

from imgq import wire
from imgq.errors import CannotStart
from imgqd.serve import door
from imgqd.serve.job import Answer, Job

log = logging.getLogger(__name__)

PROMPT_THREADS = 3
PATIENT_THREADS = 12
SETTLING_THREADS = 12
MOST_WAITING = 256
MOST_OF_ONE_PEER = 8
# Who does not even read that it is refused gets no more answers.
MOST_UNREAD = 64
# A client that does not read for so long is given up, and its answer with it.
UNREAD_S = 30.0


_PATIENT = tuple(name.encode() for name, cls in wire.REQUESTS.items() if cls.patient)

Lane = queue.Queue[Job | None]


class Server:
    """Answers on a socket between `start` and `stop`."""

    def __init__(self, path: str, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._context: zmq.Context[Any] = zmq.Context()
        self._router: zmq.Socket[Any] = self._context.socket(zmq.ROUTER)
        self._prompt: Lane = queue.Queue(MOST_WAITING)
        self._patient: Lane = queue.Queue(MOST_WAITING)
        self._settling: Lane = queue.Queue(MOST_WAITING)
        self._handed_over = _handed_over()
        self._done: queue.SimpleQueue[tuple[Job, bytes, bool]] = queue.SimpleQueue()
        self._stalled: list[tuple[Job, bytes, bool]] = []
        self._under_way: Counter[bytes] = Counter()
        self._running = True
        self._woken, self._waker = os.pipe()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Binds and answers from now on. Raises CannotStart where the path is taken."""
        _raise_descriptor_limit()
        try:
            self._bind()
        except BaseException:
            self._context.destroy(linger=0)
            raise
        lanes = [self._prompt] * PROMPT_THREADS + [self._patient] * PATIENT_THREADS
        lanes += [self._settling] * SETTLING_THREADS
        self._threads = [threading.Thread(target=self._think, args=(lane,)) for lane in lanes]
        self._threads.append(threading.Thread(target=self._move_frames, name="socket"))
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self) -> None:
        """Sends what is ready, then closes; requests that still think are given up."""
        self._running = False
        self._wake()
        self._threads[-1].join()
        for lane in (self._prompt, self._patient, self._settling):
            with contextlib.suppress(queue.Full):
                for _ in self._threads:
                    lane.put_nowait(None)
        self._router.close(linger=500)
        self._context.term()
        if self._handed_over is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _bind(self) -> None:
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.MAXMSGSIZE, wire.MOST_REQUEST)
        self._router.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        # A Unix socket refuses at once who comes when this many wait to be let in.
        self._router.setsockopt(zmq.BACKLOG, 1024)
        self._router.setsockopt(zmq.SNDHWM, 16)
        self._router.setsockopt(zmq.RCVHWM, 16)
        if self._handed_over is not None:
            # libzmq closes what it is given.
            self._router.setsockopt(zmq.USE_FD, os.dup(self._handed_over))
        else:
            door.clear(self._path)
        # libzmq makes the socket by the umask; no moment may show it to others.
        before = os.umask(0o077)
        try:
            self._router.bind(f"ipc://{self._path}")
        except zmq.ZMQError as error:
            raise CannotStart(f"nothing can be bound to {self._path}: {error}") from None
        finally:
            os.umask(before)

    def _move_frames(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        while self._running or not self._done.empty():
            poller.poll(100 if self._stalled else None)
            self._receive()
            self._send()

    def _receive(self) -> None:
        # A flood must not keep the replies from leaving.
        for _ in range(64):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if len(frames) == 2 and _is_owner(frames[1]):
                self._accept(frames[0].bytes, frames[1].bytes)

    def _accept(self, peer: bytes, frame: bytes) -> None:
        under_way = self._under_way[peer]
        if under_way >= MOST_UNREAD:
            return
        job = Job(peer, frame, self._answer, self._lane(frame))
        self._under_way[peer] += 1
        try:
            if under_way >= MOST_OF_ONE_PEER:
                raise queue.Full
            job.lane.put_nowait(job)
        except queue.Full:
            self._deliver(job, job.refused(), False)

    def _lane(self, frame: bytes) -> Lane:
        """By the name of the request near the frame's start; the message is read later."""
        head = frame[:64]
        if b"Settle" in head:
            return self._settling
        return self._patient if any(name in head for name in _PATIENT) else self._prompt

    def _send(self) -> None:
        os.set_blocking(self._woken, False)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        waiting, self._stalled = self._stalled, []
        for job, frame, more in waiting:
            self._deliver(job, frame, more)
        while not self._done.empty():
            self._deliver(*self._done.get())

    def _deliver(self, job: Job, frame: bytes, more: bool) -> None:
        try:
            self._router.send_multipart([job.peer, frame], zmq.NOBLOCK)
        except zmq.Again:
            job.failed_since = job.failed_since or time.monotonic()
            if time.monotonic() - job.failed_since < UNREAD_S:
                self._stalled.append((job, frame, more))
                return
            more = False
        except zmq.ZMQError:
            # The client is gone, and with it whoever wanted the rest.
            more = False
        job.failed_since = 0.0
        if more:
            self._resume(job)
        else:
            self._leave(job)

    def _resume(self, job: Job) -> None:
        try:
            job.lane.put_nowait(job)
        except queue.Full:
            self._deliver(job, job.refused(), False)

    def _leave(self, job: Job) -> None:
        self._under_way[job.peer] -= 1
        if self._under_way[job.peer] <= 0:
            del self._under_way[job.peer]

    def _think(self, lane: Lane) -> None:
        while self._running and (job := lane.get()) is not None:
            frame, more = job.following() if job.is_begun else job.first()
            self._done.put((job, frame, more))
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._waker, b"!")


def _is_owner(frame: zmq.Frame) -> bool:
    """Whether the process at the other end runs as this user, by SO_PEERCRED: "…:uid:gid:pid"."""
    try:
        words = str(frame.get("Peer-Address")).split(":")
    except zmq.ZMQError:
        return False
    return words[-3:-2] == [str(os.getuid())]


def _handed_over() -> int | None:
    """The listening descriptor of a service manager's socket unit (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return 3


def _raise_descriptor_limit() -> None:
    """libzmq ends the process when accept finds no descriptor left."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 65536
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), hard))
