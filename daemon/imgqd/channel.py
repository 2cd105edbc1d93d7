"""Messages between the daemon and its children: msgpack maps with a length before them, and descriptors.

A Unix stream socket carries them. A child may be taken over by a hostile picture, so what comes from
one is bounded before it is read, and anything that is no message ends the channel.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgpack

from imgqd.patience import Patience

MOST_BYTES = 16 << 20
# A child that does not take a message for so long is as good as gone.
SEND_S = 30.0
LOOK_S = 0.1
# So many descriptors go to a child with a message at most; none comes from one.
MOST_DESCRIPTORS = 8
_LENGTH = struct.Struct("<I")
T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side is gone, or as good as gone."""


class NoMessage(ChannelClosed):
    """The other side sent what is none."""


class Channel:
    """One end of the line. Not for several threads at once."""

    def __init__(
        self, end: socket.socket, send_s: float | None = SEND_S, takes_descriptors: bool = False
    ) -> None:
        """send_s: seconds for which the other side may refuse a message, None for ever.
        takes_descriptors: else the kernel lets none in, and a message that has some ends the channel."""
        self._end = end
        self._end.setblocking(False)
        self._send_s = send_s
        self._space = (
            socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
            if takes_descriptors
            else 0
        )
        self._patience: Patience | None = None
        self._meanwhile: Callable[[], None] | None = None

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Two connected stream sockets, neither inheritable."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    @classmethod
    def inherited(cls, descriptor: int) -> Channel:
        """The end that the parent handed over as an open descriptor. The parent may be stopped for as
        long as it likes; where it ends, so does the channel."""
        return cls(socket.socket(fileno=descriptor), send_s=None, takes_descriptors=True)

    def send(self, message: dict[str, Any], *descriptors: int) -> None:
        """Sends a message, and copies of the descriptors with it."""
        body = msgpack.packb(message)
        data = memoryview(_LENGTH.pack(len(body)) + body)
        self._patience = None if self._send_s is None else Patience(self._send_s)
        try:
            if descriptors:
                first = partial(socket.send_fds, self._end, [data], descriptors)
                data = data[self._tried(select.POLLOUT, first) :]
            while data:
                data = data[self._tried(select.POLLOUT, partial(self._end.send, data)) :]
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(
        self, timeout: float | None = None, meanwhile: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors, MOST_DESCRIPTORS at most.

        timeout: seconds until TimeoutError, None for ever. meanwhile: is called every LOOK_S for as long
        as nothing comes; what it raises ends the wait. Only with a timeout.
        """
        # One for the whole message: a byte now and then does not prolong it.
        self._patience = None if timeout is None else Patience(timeout)
        self._meanwhile = meanwhile
        descriptors: list[int] = []
        try:
            start = self._start(descriptors)
            (length,) = _LENGTH.unpack(start + self._exactly(_LENGTH.size - len(start)))
            if length > MOST_BYTES:
                raise NoMessage(f"a message of {length} bytes")
            return _unpack(self._exactly(length)), descriptors
        except Exception as error:
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise ChannelClosed(str(error)) from error
            raise
        finally:
            self._meanwhile = None

    def news(self) -> int:
        """What `poll` tells of it now: POLLIN alone where something has come, and nobody hung up."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return sum(events for _, events in poll.poll(0))

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def _start(self, descriptors: list[int]) -> bytes:
        """The first bytes of a message; the descriptors that come with them are put into the list."""
        self._await(select.POLLIN)
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        start, ancillary, left, _ = self._end.recvmsg(_LENGTH.size, self._space, flags)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                descriptors += found
        if left & socket.MSG_CTRUNC:
            raise NoMessage("descriptors that nobody asked for")
        if not start:
            raise ChannelClosed("the other side is gone")
        return start

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            if parts and self._patience is not None and self._patience.is_over:
                # Who sends byte by byte always has one that is there.
                raise TimeoutError("the other side takes too long")
            part = self._tried(select.POLLIN, partial(self._end.recv, count - len(parts)))
            if not part:
                raise ChannelClosed("the other side is gone")
            parts += part
        return bytes(parts)

    def _tried(self, event: int, act: Callable[[], T]) -> T:
        """What comes of it: mostly at once, else when the event has come. Raises TimeoutError."""
        while True:
            try:
                return act()
            except BlockingIOError:
                self._await(event)

    def _await(self, event: int) -> None:
        """Waits until the socket can be read or written. Raises TimeoutError."""
        if self._end.fileno() < 0:
            raise ChannelClosed("this side is closed")
        poll = select.poll()
        poll.register(self._end, event)
        if self._patience is None:
            poll.poll()
        elif not self._patience.wait(lambda seconds: self._comes(poll, seconds)):
            raise TimeoutError("the other side is silent")

    def _comes(self, poll: select.poll, seconds: float) -> bool:
        if self._meanwhile is None:
            return bool(poll.poll(seconds * 1000))
        if poll.poll(min(seconds, LOOK_S) * 1000):
            return True
        self._meanwhile()
        return False


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, max_map_len=64, max_array_len=65536, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise NoMessage(f"no message: {error}") from error
    if not isinstance(message, dict):
        raise NoMessage("no message: not a map")
    return message
