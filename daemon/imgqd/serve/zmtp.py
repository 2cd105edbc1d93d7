"""A ROUTER's end of ZMTP 3 with the NULL mechanism: bytes to messages, every size bounded; no socket here.

The protocol is ZeroMQ's RFC 23; tests hold it against libzmq's own DEALER. libzmq itself does not listen
here: its listener ends the process when no descriptor is left, keeps whoever greets it as its first
version for ever, and gathers a message of endless frames.
"""

from __future__ import annotations

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"

_SIGNATURE, _MAJOR, _MECHANISM = 9, 10, slice(12, 32)
_MORE, _LONG, _COMMAND = 1, 2, 4
# Of a command; the longest of any use is a READY with an identity in it.
_MOST_COMMAND = 1024
_PING, _PONG = b"\x04PING", b"\x04PONG"
# Behind the name of a PING: its time to live; what follows that comes back with the PONG.
_TTL, _MOST_CONTEXT = 2, 16


class Stranger(Exception):
    """The other end does not speak ZMTP 3, or claims more than is heard."""


class Conversation:
    """What one connection says. `owed`: what is to be sent back at once."""

    def __init__(self, most: int) -> None:
        """most: bytes of a message."""
        self._most = most
        self._heard = bytearray()
        self._is_greeted = False
        self._is_several = False
        self.is_ready = False
        self.owed = bytearray(GREETING)
        # Bytes of the frame that is coming, its head among them; 0 until that is known.
        self.claimed = 0

    def hear(self, data: bytes) -> None:
        self._heard += data

    @property
    def is_amid(self) -> bool:
        """Whether something has begun to come that is not whole."""
        return bool(self._heard) or self._is_several

    def message(self) -> bytes | None:
        """The next message that has come whole; one of several frames is an empty one, for imgq has none
        such. Raises Stranger."""
        while (self._is_greeted or self._greeted()) and (frame := self._frame()) is not None:
            flags, body = frame
            if flags & _COMMAND:
                self._heed(body)
            elif not self.is_ready:
                raise Stranger("it says something before it is ready")
            elif flags & _MORE:
                self._is_several = True
            else:
                body, self._is_several = b"" if self._is_several else body, False
                return body
        return None

    def _greeted(self) -> bool:
        """Whether the greeting is there whole. What is none is noticed at its first wrong byte."""
        heard = self._heard
        if heard and (
            heard[0] != 0xFF
            or (len(heard) > _SIGNATURE and not heard[_SIGNATURE] & 1)
            or (len(heard) > _MAJOR and heard[_MAJOR] < 3)
        ):
            raise Stranger("it does not greet as ZMTP 3 does")
        if len(heard) < len(GREETING):
            return False
        if heard[_MECHANISM] != GREETING[_MECHANISM]:
            raise Stranger("it wants another mechanism than NULL")
        del heard[: len(GREETING)]
        self.owed += READY
        self._is_greeted = True
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        heard = self._heard
        if not heard:
            return None
        flags = heard[0]
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise Stranger("it sends a frame of no known kind")
        start = 9 if flags & _LONG else 2
        if len(heard) < start:
            return None
        size = int.from_bytes(heard[1:start], "big")
        most = _MOST_COMMAND if flags & _COMMAND else self._most
        if size > most:
            raise Stranger(f"it claims a frame of {size} bytes, {most} is the most")
        end = self.claimed = start + size
        if len(heard) < end:
            return None
        self.claimed = 0
        with memoryview(heard) as view:
            body = bytes(view[start:end])
        del heard[:end]
        return flags, body

    def _heed(self, command: bytes) -> None:
        if not self.is_ready:
            if not command.startswith(b"\x05READY"):
                raise Stranger("it does not say that it is ready")
            self.is_ready = True
        elif command.startswith(_PING):
            context = command[len(_PING) + _TTL :][:_MOST_CONTEXT]
            self.owed += bytes((_COMMAND, len(_PONG) + len(context))) + _PONG + context


def framed(message: bytes) -> bytes:
    """A message as it travels."""
    if len(message) < 256:
        return bytes((0, len(message))) + message
    return bytes((_LONG,)) + len(message).to_bytes(8, "big") + message
