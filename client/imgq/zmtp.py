"""A DEALER socket's end of ZMTP 3.0 with the NULL mechanism over a Unix socket, on the bare socket module.

Importing libzmq alone takes three times what Python takes to start, and a question has one frame. The
protocol is ZeroMQ's RFC 23; tests hold it against libzmq's own ROUTER.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
_MORE, _LONG, _COMMAND = 1, 2, 4
# The user at the other end stands at the same place in Linux's struct ucred and in macOS's xucred.
_CREDENTIALS = (0, 1, 76) if sys.platform == "darwin" else (SOL_SOCKET, 17, 12)
_UID = slice(4, 8)
# A thread of the daemon greets at once, whatever the others do; one that is starting or stopped does not.
GREETS_S = 2.0
_WORD = (sys.maxsize.bit_length() + 1) // 8


class Dealer:
    """A connection that is greeted and ready. Every call raises OSError, TimeoutError among them.

    doubt: what is done about a listener that is slow to greet, which may raise what it likes.
    """

    def __init__(
        self, path: str, deadline: float, doubt: Callable[[socket], object] | None = None
    ) -> None:
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._buffer = bytearray()
        try:
            self._connect(path, deadline)
            self._require_trusted()
            self._send_all(_GREETING + _READY)
            try:
                self._hear_greeting(min(deadline, monotonic() + GREETS_S))
            except TimeoutError:
                if doubt is not None:
                    doubt(self._socket)
                self._hear_greeting(deadline)
            self._frame(deadline)
        except BaseException:
            self.close()
            raise

    def _connect(self, path: str, deadline: float) -> None:
        """Where too many come, it waits in the system's own line: who asks again now and then is overtaken
        by who does so without a pause."""
        self._within(deadline)
        seconds, rest = divmod(self._socket.gettimeout() or 0.0, 1)
        # struct timeval {tv_sec, tv_usec}; nothing at all would be for ever.
        words = int(seconds), min(int(1e6 * rest) + 1, 999_999)
        timeval = b"".join(word.to_bytes(_WORD, sys.byteorder) for word in words)
        self._socket.settimeout(None)
        self._socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeval)
        self._socket.connect(path)

    def _hear_greeting(self, deadline: float) -> bytes:
        # Whoever speaks something else may never send all of a greeting.
        self._gather(1, deadline)
        if self._buffer[0] != _GREETING[0]:
            raise OSError("what answers there does not speak ZMTP")
        return self._take(64, deadline)[1:]

    def _require_trusted(self) -> None:
        """In a folder that others may write to, anybody could have been there first."""
        told = self._socket.getsockopt(*_CREDENTIALS)
        uid = int.from_bytes(told[_UID], sys.byteorder)
        # Root's where a service manager opened the socket.
        if uid not in (0, os.getuid()):
            raise PermissionError(f"a process of another user (uid {uid}) listens there")

    def send(self, frame: bytes, deadline: float) -> None:
        """Sends a message of one frame."""
        self._within(deadline)
        if len(frame) < 256:
            head = bytes((0, len(frame)))
        else:
            head = bytes((_LONG,)) + len(frame).to_bytes(8, "big")
        self._send_all(head + frame)

    def receive(self, deadline: float, most: int) -> bytes:
        """The next message, which has one frame of at most `most` bytes."""
        while True:
            flags, body = self._frame(deadline, most)
            if flags & _MORE:
                raise OSError("a message of several frames came, imgq sends none")
            if not flags & _COMMAND:
                return body

    def close(self) -> None:
        self._socket.close()

    def _frame(self, deadline: float, most: int = 4096) -> tuple[int, bytes]:
        flags = self._take(1, deadline)[0]
        size = int.from_bytes(self._take(8 if flags & _LONG else 1, deadline), "big")
        if size > most:
            raise OSError(f"a frame of {size} bytes came, {most} is the most")
        return flags, self._take(size, deadline)

    def _take(self, count: int, deadline: float) -> bytes:
        self._gather(count, deadline)
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _gather(self, count: int, deadline: float) -> None:
        while len(self._buffer) < count:
            self._within(deadline)
            part = self._socket.recv(1 << 16)
            if not part:
                raise ConnectionResetError("the daemon closed the connection")
            self._buffer += part

    def _send_all(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _within(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
