"""Messages between the daemon and its children: msgpack maps with a length before them, and descriptors.

A Unix stream socket carries them. A child may be taken over by a hostile picture, so what comes from
one is bounded before it is read, and anything that is no message ends the channel.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import time
from typing import Any

import msgpack

MOST_BYTES = 16 << 20
# A side that does not take a message for so long is as good as gone.
SEND_S = 30.0
_LENGTH = struct.Struct("<I")


class ChannelClosed(Exception):
    """The other side is gone, or sent what is no message."""


class Channel:
    """One end of the line. Not for several threads at once."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._deadline: float | None = None

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Two connected stream sockets, neither inheritable."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    @classmethod
    def inherited(cls, descriptor: int) -> Channel:
        """The end that the parent handed over as an open descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def send(self, message: dict[str, Any], *descriptors: int) -> None:
        """Sends a message, and copies of the descriptors with it."""
        body = msgpack.packb(message)
        try:
            self._end.settimeout(SEND_S)
            head = _LENGTH.pack(len(body))
            if descriptors:
                socket.send_fds(self._end, [head], descriptors)
            else:
                self._end.sendall(head)
            self._end.sendall(body)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout: float | None = None) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors, at most one.

        timeout: seconds until TimeoutError, None for ever.
        """
        self._deadline = None if timeout is None else time.monotonic() + timeout
        descriptors: list[int] = []
        try:
            start = self._start(descriptors)
            (length,) = _LENGTH.unpack(start + self._exactly(_LENGTH.size - len(start)))
            if length > MOST_BYTES:
                raise ChannelClosed(f"a message of {length} bytes")
            return _unpack(self._exactly(length)), descriptors
        except (OSError, ChannelClosed) as error:
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(error, TimeoutError | ChannelClosed):
                raise
            raise ChannelClosed(str(error)) from error

    def close(self) -> None:
        self._end.close()

    def _start(self, descriptors: list[int]) -> bytes:
        """The first bytes of a message; the descriptors that come with them are put into the list."""
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        self._within_deadline()
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        start, ancillary, _, _ = self._end.recvmsg(_LENGTH.size, space, flags)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                descriptors += found
        if not start:
            raise ChannelClosed("the other side is gone")
        return start

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._within_deadline()
            part = self._end.recv(count - len(parts))
            if not part:
                raise ChannelClosed("the other side is gone")
            parts += part
        return bytes(parts)

    def _within_deadline(self) -> None:
        """One deadline for the whole message: a byte now and then does not prolong it."""
        left = None if self._deadline is None else self._deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("the message did not come in time")
        self._end.settimeout(left)


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, max_map_len=64, max_array_len=65536, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise ChannelClosed(f"no message: {error}") from error
    if not isinstance(message, dict):
        raise ChannelClosed("no message: not a map")
    return message
