"""What no client of ours would send: requests that are nearly right, msgpack that is none, frames and
greetings that are not ZMTP's. The same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgpack
from strangers import READY

from imgq import wire
from imgq.errors import Failure
from served import GREETING

# What a client may well ask for, and what would end the daemon, have it look at the whole disk, or wait.
HEEDED = {"Stop", "Reload", "Add", "Remove", "Check", "Pause", "Follow"}
NUMBERS = (
    -1, 0, 1, 20, 127, 128, 255, 256, 65535, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1,
    (1 << 64) - 1, -(1 << 63), 0.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
TEXTS = ("", "red", "\0", "\x1b[2J", "😀", "\u202e", "x" * 5000, "é" * 100, "Search", "terms")
# The first byte of each kind of value that msgpack has, with lengths that are claimed and not there.
CLAIMS = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xdc\xff\xff", b"\xde\xff\xff", b"\xc7\xff\x05", b"\xd4\x01\x00",
    b"\xd6\xff\x00\x00\x00\x00", b"\xc1", b"\x91" * 500, b"\x91" * 100_000, b"\x81\xa1a" * 500,
    b"\x93" + b"\x80" * 4000, b"\xdc\x10\x00" + b"\x80" * 4096,
)  # fmt: skip


class Nonsense:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._kinds = sorted(wire.REQUESTS)

    def body(self) -> bytes:
        """A message, to be sent as it should be; none that the daemon would heed to its own harm."""
        while True:
            make = self.dice.choice(
                (self._close, self._close, self._broken, self._broken, self._any, self._claim)
            )
            body = make()
            if not _is_heeded(body):
                return body

    def stream(self) -> bytes:
        """Bytes of a connection, from its beginning; nobody waits for an answer to them."""
        make: Callable[[], bytes] = self.dice.choice((self._noise, self._greeting, self._frames))
        return make()

    # ── messages ──

    def _close(self) -> bytes:
        """A request by its name, with its fields, some of them of another kind."""
        kind = self.dice.choice(self._kinds)
        fields = {name: self._value() for name in wire.REQUESTS[kind].fields}
        for name in [name for name in fields if self.dice.random() < 0.3]:
            del fields[name]
        if kind == "Search" and self.dice.random() < 0.7:
            fields |= {"terms": [self._term() for _ in range(self.dice.choice((0, 1, 2, 70)))]}
        if self.dice.random() < 0.1:
            fields[self.dice.choice(TEXTS)] = self._value()
        return _packed([self._protocol(), self._number(), kind, fields])

    def _term(self) -> Any:
        sound = {"text": self.dice.choice(TEXTS), "weight": self.dice.choice((1.0, -1.0, 0.5))}
        if self.dice.random() < 0.5:
            sound[self.dice.choice(("text", "weight", "picture", "color"))] = self._value()
        return sound

    def _broken(self) -> bytes:
        """A sound request whose bytes are not."""
        sound = wire.pack_request(wire.Search(terms=(wire.Term(text="red"),)), 1)
        body = bytearray(sound if self.dice.random() < 0.5 else self._close())
        for _ in range(self.dice.choice((1, 1, 2, 8))):
            at = self.dice.randrange(len(body))
            match self.dice.randrange(4):
                case 0:
                    body[at] ^= 1 << self.dice.randrange(8)
                case 1:
                    body[at:] = self.dice.choice(CLAIMS)
                case 2:
                    body[at:at] = self.dice.randbytes(self.dice.choice((1, 4, 100)))
                case 3:
                    del body[at + 1 :]
        return bytes(body)

    def _any(self) -> bytes:
        if self.dice.random() < 0.3:
            return self.dice.randbytes(self.dice.choice((0, 1, 2, 10, 1000)))
        return _packed(self._value())

    def _claim(self) -> bytes:
        start = self.dice.choice((b"", b"\x94\x01\x01\xa6Search", b"\x94\x01\x01", b"\x94\x01"))
        return start + self.dice.choice(CLAIMS)

    def _protocol(self) -> Any:
        return self._value() if self.dice.random() < 0.05 else wire.PROTOCOL

    def _number(self) -> Any:
        return self._value() if self.dice.random() < 0.05 else 1

    def _value(self, depth: int = 0) -> Any:
        kind = self.dice.randrange(8 if depth < 3 else 5)
        match kind:
            case 0:
                return self.dice.choice(NUMBERS)
            case 1:
                return self.dice.choice(TEXTS)
            case 2:
                return self.dice.randbytes(self.dice.choice((0, 1, 16, 5000)))
            case 3:
                return self.dice.choice((None, True, False))
            case 4:
                return msgpack.ExtType(self.dice.randrange(128), b"x" * self.dice.randrange(9))
            case 5 | 6:
                return [self._value(depth + 1) for _ in range(self.dice.choice((0, 1, 3, 20)))]
        return {
            self.dice.choice((*TEXTS, 1, None)): self._value(depth + 1)
            for _ in range(self.dice.choice((0, 1, 3)))
        }

    # ── connections ──

    def _noise(self) -> bytes:
        return self.dice.choice((b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff")) + self.dice.randbytes(
            self.dice.choice((0, 1, 9, 64, 300))
        )

    def _greeting(self) -> bytes:
        said = bytearray(GREETING + READY)
        for _ in range(self.dice.choice((1, 2, 5))):
            said[self.dice.randrange(len(said))] = self.dice.randrange(256)
        return bytes(said[: self.dice.randint(0, len(said))])

    def _frames(self) -> bytes:
        return GREETING + READY + b"".join(self._frame() for _ in range(self.dice.randint(1, 5)))

    def _frame(self) -> bytes:
        """Of any kind, and of the size that it claims, or of another."""
        flags = self.dice.choice((0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 255))
        body = self.dice.randbytes(self.dice.choice((0, 1, 20, 255, 2000)))
        size = len(body) if self.dice.random() < 0.7 else abs(int(self.dice.choice(NUMBERS[:14])))
        if flags & 2:
            return bytes((flags,)) + (size % (1 << 64)).to_bytes(8, "big") + body
        return bytes((flags, size % 256)) + body


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _is_heeded(body: bytes) -> bool:
    try:
        _, request = wire.unpack_request(body)
    except Failure:
        return False
    return type(request).__name__ in HEEDED
