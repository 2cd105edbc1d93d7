"""A ROUTER's end of ZMTP 3: bytes to messages, every size bounded; no socket here.

The protocol is ZeroMQ's RFC 23; tests hold it against libzmq's own DEALER. libzmq itself does not listen
here: its listener ends the process when no descriptor is left, keeps whoever greets it as its first
version for ever, and gathers a message of endless frames.
"""

from __future__ import annotations

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"

COMMAND = 4

_SIGNATURE, _MAJOR, _MECHANISM = 9, 10, slice(12, 32)
_MORE, _LONG = 1, 2
# Of a command that is sealed like a message.
_SEALED_COMMAND = 2
# Of a command; the longest of any use is a READY with an identity in it.
_MOST_COMMAND = 1024
_PING, _PONG = b"\x04PING", b"\x04PONG"
# Behind the name of a PING: its time to live; what follows that comes back with the PONG.
_TTL, _MOST_CONTEXT = 2, 16


class Stranger(Exception):
    """The other end does not speak ZMTP 3, claims more than is heard, or is not let in; `last` is what it
    is still told."""

    def __init__(self, reason: str, last: bytes = b"") -> None:
        super().__init__(reason)
        self.last = last


class Mechanism:
    """How two ends come to know each other, and what they say on the way: this is NULL, which asks nothing
    and hides nothing."""

    greeting = GREETING
    # Bytes by which a message is longer on its way.
    overhead = 0
    is_ready = False

    def begin(self) -> bytes:
        """What is said to who has greeted."""
        return READY

    def heed(self, command: bytes) -> bytes:
        """The answer to a command of who is not ready. Raises Stranger."""
        if not command.startswith(b"\x05READY"):
            raise Stranger("it does not say that it is ready")
        self.is_ready = True
        return b""

    def opened(self, flags: int, body: bytes) -> tuple[int, bytes]:
        """A frame's flags and what it says. Raises Stranger."""
        return flags, body

    def framed(self, message: bytes, flags: int = 0) -> bytes:
        """A message as it travels, or a command."""
        return framed(message, COMMAND if flags else 0)


class Conversation:
    """What one connection says. `owed`: what is to be sent back at once."""

    def __init__(self, most: int, mechanism: Mechanism | None = None) -> None:
        """most: bytes of a message; mechanism: NULL unless there is another."""
        self.mechanism = mechanism or Mechanism()
        self._most = most + self.mechanism.overhead
        self._heard = bytearray()
        self._is_greeted = False
        self._is_several = False
        self.owed = bytearray(self.mechanism.greeting)
        # Bytes of the frame that is coming, its head among them; 0 until that is known.
        self.claimed = 0

    def hear(self, data: bytes) -> None:
        self._heard += data

    @property
    def is_ready(self) -> bool:
        return self.mechanism.is_ready

    @property
    def is_amid(self) -> bool:
        """Whether something has begun to come that is not whole."""
        return bool(self._heard) or self._is_several

    def message(self) -> bytes | None:
        """The next message that has come whole; one of several frames is an empty one, for imgq has none
        such. Raises Stranger."""
        while (self._is_greeted or self._greeted()) and (frame := self._frame()) is not None:
            flags, body = frame
            if not self.is_ready:
                self._come_to_know(flags, body)
                continue
            flags, body = self.mechanism.opened(flags, body)
            if flags & ~_MORE:
                self._heed(body)
            elif flags & _MORE:
                self._is_several = True
            else:
                body, self._is_several = b"" if self._is_several else body, False
                return body
        return None

    def framed(self, message: bytes) -> bytes:
        """A message to who is ready, as it travels."""
        return self.mechanism.framed(message)

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
        if heard[_MECHANISM] != self.mechanism.greeting[_MECHANISM]:
            raise Stranger("it wants another mechanism")
        del heard[: len(GREETING)]
        self.owed += self.mechanism.begin()
        self._is_greeted = True
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        heard = self._heard
        if not heard:
            return None
        flags = heard[0]
        if flags & ~(_MORE | _LONG | COMMAND):
            raise Stranger("it sends a frame of no known kind")
        start = 9 if flags & _LONG else 2
        if len(heard) < start:
            return None
        size = int.from_bytes(heard[1:start], "big")
        most = _MOST_COMMAND if flags & COMMAND or not self.is_ready else self._most
        if size > most:
            raise Stranger(f"it claims a frame of {size} bytes, {most} is the most")
        end = self.claimed = start + size
        if len(heard) < end:
            return None
        self.claimed = 0
        with memoryview(heard) as view:
            body = bytes(view[start:end])
        del heard[:end]
        return flags & ~_LONG, body

    def _come_to_know(self, flags: int, body: bytes) -> None:
        if not flags & COMMAND:
            raise Stranger("it says something before it is ready")
        self.owed += self.mechanism.heed(body)

    def _heed(self, command: bytes) -> None:
        if command.startswith(_PING):
            context = command[len(_PING) + _TTL :][:_MOST_CONTEXT]
            self.owed += self.mechanism.framed(_PONG + context, _SEALED_COMMAND)


def framed(message: bytes, flags: int = 0) -> bytes:
    """Bytes as a frame, as they travel."""
    if len(message) < 256:
        return bytes((flags, len(message))) + message
    return bytes((flags | _LONG,)) + len(message).to_bytes(8, "big") + message
