"""The socket: one thread moves bytes, others think.

Every size, count and wait is bounded (here, in `crowd`, `peer`, `line`, `zmtp` and `imgq.wire`): a client
that is slow, floods or speaks nonsense harms itself alone.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import resource
import selectors
import socket
import threading
import time

from imgq import wire
from imgqd.serve import door
from imgqd.serve.crowd import Crowd, Entrance, of_this_user
from imgqd.serve.gate import Gate
from imgqd.serve.job import Answer, Job
from imgqd.serve.lanes import Lanes
from imgqd.serve.parking import Parking
from imgqd.serve.peer import Peer
from imgqd.serve.zmtp import Stranger

log = logging.getLogger(__name__)

MOST_PEERS = 1000
# Of other machines.
MOST_GUESTS = 250
# Bytes of all requests that come or are being answered; what is small is not counted while it comes.
MOST_HELD = 4 * wire.MOST_REQUEST
_SMALL = 1 << 16
# Of replies that one process has not read, over all its connections: no others are made before it does.
MOST_UNREAD_OF_ONE = 16 << 20

_LINGER_S = 0.5
# Between two attempts to listen where that cannot be: an address may come with its network.
_RETRY_S = 2.0
_MOST_DESCRIPTORS = 65536


class Server:
    """Answers on a socket, and on a network where the gate says so, between `start` and `stop`."""

    def __init__(self, path: str, answer: Answer, gate: Gate | None = None) -> None:
        self._path = path
        self._answer = answer
        self._gate = gate or Gate()
        self._gate.changed = self._tell_changed
        self._far_door: socket.socket | None = None
        self._next_attempt = 0.0 if self._gate.listen else math.inf
        self._has_changed = False
        self._done: queue.SimpleQueue[tuple[Job, bytes | None, bool]] = queue.SimpleQueue()
        self._parking = Parking()
        self._resting: dict[Peer, float] = {}
        # Bytes that are kept for those who have not read all, by process.
        self._kept: dict[int, dict[Peer, int]] = {}
        self._running = True
        self._thread = threading.Thread(target=self._move_bytes, name="socket", daemon=True)

    def start(self) -> None:
        """Listens, and answers from now on. Raises CannotStart where the path is taken."""
        # Most descriptors are left to the rest of the daemon.
        descriptors = _raised_descriptor_limit()
        self._most_guests = min(MOST_GUESTS, descriptors // 8)
        self._door = door.opened(self._path)
        self._crowd = Crowd(self._attend)
        most = min(MOST_PEERS, descriptors // 4)
        self._crowd.enter_by(Entrance(self._door, most, of_this_user, door.BACKLOG))
        self._listen_far()
        self._lanes = Lanes(self._tell)
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._crowd.watch(self._woken, self._wake_up)
        self._thread.start()

    def stop(self) -> None:
        """Sends what is ready, then closes; requests that still think are given up."""
        self._running = False
        self._wake()
        self._thread.join()
        self._lanes.close()
        # Before anybody is hung up on: who then asks again is to find nobody, not to be hung up on twice.
        if self._far_door is not None:
            self._far_door.close()
        door.close(self._door, self._path)
        self._crowd.close()

    def tell_news(self) -> None:
        """Has those looked at again that wait for news; from any thread."""
        self._parking.news += 1
        self._wake()

    def _tell_changed(self) -> None:
        """That somebody may have lost a right; from any thread."""
        self._has_changed = True
        self._wake()

    def _listen_far(self) -> None:
        self._far_door = self._gate.opened() if self._gate.listen else None
        self._next_attempt = time.monotonic() + _RETRY_S if self._gate.trouble else math.inf
        if self._far_door is not None:
            self._crowd.enter_by(Entrance(self._far_door, self._most_guests, self._gate.met))

    def _move_bytes(self) -> None:
        while self._running:
            self._turn()
        until = time.monotonic() + _LINGER_S
        while time.monotonic() < until and self._has_more_to_say():
            self._turn(_LINGER_S / 10)

    def _has_more_to_say(self) -> bool:
        return not self._done.empty() or any(peer.unread for peer in self._crowd)

    def _turn(self, patience: float | None = None) -> None:
        due = min(*self._resting.values(), self._parking.due(), self._next_attempt)
        if due < math.inf:
            patience = max(due - time.monotonic(), 0.0)
        self._crowd.turn(patience)
        if time.monotonic() >= self._next_attempt:
            self._listen_far()
        if self._has_changed:
            # Before any answer leaves, so that whoever revokes a key is told when that has happened.
            self._has_changed = False
            for peer in self._crowd:
                self._attend(peer)
        while not self._done.empty():
            self._deliver(*self._done.get())
        now = time.monotonic()
        for peer in [peer for peer, until in self._resting.items() if until <= now]:
            self._attend(peer)
        for job in self._parking.leave(now):
            self._look_again(job)

    def _deliver(self, job: Job, frame: bytes | None, more: bool) -> None:
        if job.peer.is_gone:
            return
        if frame is not None:
            job.peer.send(frame, job, more)
        elif self._parking.take(job):
            job.peer.line.lighten(job)
        else:
            job.peer.send(job.refused(), job)
        self._attend(job.peer)

    def _attend(self, peer: Peer, events: int = 0) -> None:
        """Does all that can be done for a client now."""
        self._resting.pop(peer, None)
        if peer.is_gone:
            self._count_kept(peer)
            return
        try:
            if peer.is_ready and peer.right is None:
                raise Stranger("its key is no longer allowed")
            if events & selectors.EVENT_READ:
                peer.hear()
            self._take(peer)
            while self._send(peer):
                self._take(peer)
            self._wait_for(peer)
        except (OSError, Stranger) as error:
            log.debug("a client is sent away: %s", error)
            if isinstance(error, Stranger) and error.last:
                peer.tell(error.last)
            self._crowd.drop(peer)
        except Exception:
            log.exception("a client is sent away: this is a bug")
            self._crowd.drop(peer)

    def _take(self, peer: Peer) -> None:
        """Takes the requests that have come whole, and has those answered whose turn it is."""
        line, now = peer.line, time.monotonic()
        while line.is_heard(now) and peer.reads and (frame := peer.message()) is not None:
            job = Job(peer, frame, self._answer)
            if not line.join(job, now):
                peer.send(job.refused())
        while (turn := line.next(now)) is not None:
            self._think(turn)

    def _think(self, job: Job) -> None:
        job.heard = self._parking.news
        try:
            self._lanes.put(job)
        except queue.Full:
            job.peer.send(job.refused(), job)

    def _look_again(self, job: Job) -> None:
        job.heard = self._parking.news
        try:
            self._lanes.put(job)
        except queue.Full:
            self._parking.take(job)

    def _send(self, peer: Peer) -> bool:
        """Whether anything that waited has left whole."""
        has_left = False
        for parcel in peer.flush():
            has_left = True
            if parcel.job is not None and parcel.more:
                self._think(parcel.job)
            elif parcel.job is not None:
                peer.line.leave(parcel.job, time.monotonic())
                self._crowd.answered(peer)
        return has_left

    def _wait_for(self, peer: Peer) -> None:
        """Has the client attended to when there is something to be done for it."""
        now = time.monotonic()
        self._count_kept(peer)
        hears = peer.reads and peer.line.is_heard(now) and self._has_room(peer)
        peer.hold_up(not hears)
        if (wakes := peer.line.wakes(now)) < math.inf:
            self._resting[peer] = wakes
        events = selectors.EVENT_READ * hears | selectors.EVENT_WRITE * bool(peer.unread)
        self._crowd.listen(peer, events)

    def _count_kept(self, peer: Peer) -> None:
        """Nothing more is made for a process that does not read what it has."""
        kept = peer.kept
        if not kept and peer.process not in self._kept:
            return
        of_process = self._kept.setdefault(peer.process, {})
        of_process[peer] = kept
        if not kept:
            del of_process[peer]
        if not of_process:
            del self._kept[peer.process]
        self._lanes.hold(peer.process, sum(of_process.values()) > MOST_UNREAD_OF_ONE)

    def _has_room(self, peer: Peer) -> bool:
        """Whether there is room for the message that is coming."""
        if peer.claimed > max(peer.granted, _SMALL):
            held = sum(each.line.held + each.granted for each in self._crowd)
            if held + peer.claimed > MOST_HELD:
                return False
            peer.granted = peer.claimed
        return True

    def _tell(self, job: Job, frame: bytes | None, more: bool) -> None:
        self._done.put((job, frame, more))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"!")

    def _wake_up(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)


def _raised_descriptor_limit() -> int:
    """How many descriptors this process may have open, from now on as many as it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return soft
