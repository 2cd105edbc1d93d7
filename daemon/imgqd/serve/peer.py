"""One client: its socket, what is heard of it, and what waits until it reads."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgq import wire
from imgq.keys import FULL
from imgqd.serve.line import Line
from imgqd.serve.zmtp import Conversation, Mechanism

if TYPE_CHECKING:
    from imgqd.serve.job import Job

# Who has not greeted by then is sent away, and so is who has not sent the whole of a request.
GREETING_S = 2.0
REQUEST_S = 30.0
# A person may leave `imgq files | less` alone for a while.
UNREAD_S = 600.0

_CHUNK = 1 << 16
_MOST_PARCELS = 64
# Of a reply that others follow: what the next takes before it is packed, as a multiple.
_NEXT = 4

# struct ucred {pid, uid, gid}, and macOS's struct xucred {version, uid, …}, where the process is told apart
# from it.
_ON_MACOS = sys.platform == "darwin"
_CREDENTIALS = (0, 1) if _ON_MACOS else (socket.SOL_SOCKET, 17)
_UID = struct.Struct("=4xI68x" if _ON_MACOS else "=4xI4x")
_PROCESS = (0, 2) if _ON_MACOS else _CREDENTIALS


@dataclass(slots=True)
class Parcel:
    """Bytes on their way; a reply has its job, and `more` where others of it follow."""

    left: memoryview
    job: Job | None = None
    more: bool = False
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.left) * (1 + self.more * _NEXT)


class Peer:
    """Used by the one thread that moves bytes. Where the connection is at its end, OSError is raised,
    and Stranger where it is to be ended."""

    def __init__(self, connection: socket.socket, mechanism: Mechanism | None = None) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._conversation = Conversation(wire.MOST_REQUEST, mechanism)
        self._parcels: deque[Parcel] = deque()
        self._arrived = self._began = time.monotonic()
        self._is_held_up = False
        self.is_gone = False
        # Where nobody tells, each connection counts as a process of its own.
        self._process = process_of(connection) or -connection.fileno()
        self.line = Line()
        # Bytes that its next request may have.
        self.granted = 0
        # When it last said something, and when it last read something that waited.
        self.latest = self.wrote = self._arrived

    @property
    def process(self) -> int:
        """A number that all connections of whoever asks have in common."""
        return self._process

    @property
    def right(self) -> str | None:
        """What it may ask for, now; None where it may nothing any more."""
        return FULL

    @property
    def key(self) -> str:
        """By which it is known, 64 hex digits; empty where it needs none."""
        return ""

    def fileno(self) -> int:
        return self._socket.fileno()

    def hear(self) -> None:
        """Takes some of what has come."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("the client closed the connection")
        self.latest = time.monotonic()
        if not self._conversation.is_amid:
            self._began = self.latest
        self._conversation.hear(data)

    @property
    def has_hung_up(self) -> bool:
        """Whether it has, though that was not heard yet; for any thread."""
        try:
            return self.is_gone or not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def message(self) -> bytes | None:
        """The next message that has come whole."""
        try:
            message = self._conversation.message()
        finally:
            self._answer_greetings()
        if message is not None:
            self.granted = 0
        return message

    def _answer_greetings(self) -> None:
        if self._conversation.owed:
            self._enqueue(Parcel(memoryview(bytes(self._conversation.owed))))
            self._conversation.owed.clear()

    @property
    def claimed(self) -> int:
        """Bytes of the message that is coming."""
        return self._conversation.claimed

    def hold_up(self, is_held_up: bool) -> None:
        """Whether it is not listened to for a while: that is not of its own time."""
        if self._is_held_up and not is_held_up:
            self._began = time.monotonic()
        self._is_held_up = is_held_up

    def send(self, frame: bytes, job: Job | None = None, more: bool = False) -> None:
        self._enqueue(Parcel(memoryview(self._conversation.framed(frame)), job, more))

    def _enqueue(self, parcel: Parcel) -> None:
        if not self._parcels:
            self.wrote = time.monotonic()
        self._parcels.append(parcel)

    def flush(self) -> Iterator[Parcel]:
        """Sends what can be sent without waiting, and yields each parcel that has left whole."""
        while self._parcels:
            parcel = self._parcels[0]
            try:
                sent = self._socket.send(parcel.left)
            except BlockingIOError:
                return
            self.wrote = time.monotonic()
            parcel.left = parcel.left[sent:]
            if not parcel.left:
                yield self._parcels.popleft()

    @property
    def unread(self) -> int:
        """Bytes that wait until the client reads."""
        return sum(len(parcel.left) for parcel in self._parcels)

    @property
    def kept(self) -> int:
        """Bytes of memory, or nearly, that are kept until the client reads: a reply leaves whole."""
        return sum(parcel.size for parcel in self._parcels)

    @property
    def reads(self) -> bool:
        """Whether it reads what it has asked for: who does not is not listened to."""
        return len(self._parcels) < _MOST_PARCELS

    @property
    def is_ready(self) -> bool:
        """Whether it has greeted, and is who it must be."""
        return self._conversation.is_ready

    @property
    def is_idle(self) -> bool:
        """Whether nobody would miss it but its client, which may come again."""
        return self.line.is_empty and not self._parcels

    @property
    def due(self) -> float:
        """Until when it has to go on; infinite where nothing is expected of it."""
        if not self._conversation.is_ready:
            return self._arrived + GREETING_S
        unread = self.wrote + UNREAD_S if self._parcels else math.inf
        amid = self._conversation.is_amid and not self._is_held_up
        return min(unread, self._began + REQUEST_S if amid else math.inf)

    def tell(self, last: bytes) -> None:
        """What can be told at once to who is about to be sent away."""
        with contextlib.suppress(OSError):
            self._socket.send(last)

    def close(self) -> None:
        self.is_gone = True
        self._parcels.clear()
        self._socket.close()


def still_here(connections: Iterable[socket.socket]) -> list[socket.socket]:
    """Those whose other end is open: whatever was said before, nobody is there to hear an answer where it
    is not. The others are closed."""
    poll, here = select.poll(), {}
    for connection in connections:
        here[connection.fileno()] = connection
        poll.register(connection, 0)
    for descriptor, _ in poll.poll(0):
        here.pop(descriptor).close()
    return [*here.values()]


def uid_of(connection: socket.socket) -> int:
    """The user whose process is at the other end, as the kernel has it."""
    told = connection.getsockopt(*_CREDENTIALS, _UID.size)
    uid: int = _UID.unpack(told)[0]
    return uid


def process_of(connection: socket.socket) -> int:
    """The id of the process at the other end; 0 where the kernel has none."""
    try:
        return int.from_bytes(connection.getsockopt(*_PROCESS, 4), sys.byteorder)
    except OSError:
        return 0
