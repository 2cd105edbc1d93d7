"""CURVE, the mechanism by which ZeroMQ's ends know each other and seal what they say (RFC 26, after
Bernstein's CurveCP): the boxes, and the client's side of the handshake. Bytes alone, no socket.

The arithmetic is libsodium's (X25519, XSalsa20, Poly1305); tests hold this against libzmq's own CURVE.
Client and daemon have a lasting key pair each, and for every connection another, so that nobody who comes
by the lasting ones later can read what was said before. Only the daemon that is meant can read the first
message of a handshake, and only who has the client's lasting key can write its last.
"""

from __future__ import annotations

from os import urandom

from nacl.bindings import (
    crypto_box_beforenm,
    crypto_box_easy_afternm,
    crypto_box_keypair,
    crypto_box_open_easy_afternm,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0")
CLIENTS_GREETING = GREETING + bytes(32)
# Its 33rd byte says that it is the daemon's.
DAEMONS_GREETING = GREETING + b"\x01" + bytes(31)

HELLO, WELCOME, INITIATE, READY = b"\x05HELLO", b"\x07WELCOME", b"\x08INITIATE", b"\x05READY"
MESSAGE, ERROR = b"\x07MESSAGE", b"\x05ERROR"
# What libzmq says to whom it does not let in, as HTTP would.
NOT_ALLOWED = b"400"
VERSION = b"\x01\x00"
KEY, COOKIE = 32, 96
# A sealed message is so much longer: the command's name, a number, the box's own, and a byte of flags.
OVERHEAD = len(MESSAGE) + 8 + 16 + 1
MORE, COMMAND = 1, 2


class NotSealed(Exception):
    """Something that came was sealed by somebody else, for somebody else, or not at all."""


def keypair() -> tuple[bytes, bytes]:
    """A public key and its secret one, of 32 bytes each."""
    public, secret = crypto_box_keypair()
    return bytes(public), bytes(secret)


def public_of(secret: bytes) -> bytes:
    return bytes(crypto_scalarmult_base(secret))


class Box:
    """What two key pairs share: who has neither secret key can neither read nor make what it seals."""

    def __init__(self, public: bytes, secret: bytes) -> None:
        """Raises NotSealed for a key that no honest machine could have."""
        try:
            self._shared = crypto_box_beforenm(public, secret)
        except CryptoError:
            raise NotSealed("this is no key") from None

    def sealed(self, nonce: bytes, text: bytes) -> bytes:
        """nonce: 24 bytes that are never used again."""
        return bytes(crypto_box_easy_afternm(text, nonce, self._shared))

    def opened(self, nonce: bytes, sealed: bytes) -> bytes:
        try:
            return bytes(crypto_box_open_easy_afternm(sealed, nonce, self._shared))
        except CryptoError:
            raise NotSealed("it was sealed for somebody else") from None


class Session:
    """Seals what goes out and opens what comes in, after the handshake. Each message has its number, and
    none is heard twice."""

    def __init__(self, box: Box, *, is_client: bool, said: int, heard: int) -> None:
        """said, heard: the numbers of the handshake's last words."""
        self._box = box
        clients, daemons = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"
        self._mine, self._theirs = (clients, daemons) if is_client else (daemons, clients)
        self._said, self._heard = said, heard

    def sealed(self, text: bytes, flags: int = 0) -> bytes:
        self._said += 1
        number = self._said.to_bytes(8, "big")
        return MESSAGE + number + self._box.sealed(self._mine + number, bytes((flags,)) + text)

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Its flags, and the text. Raises NotSealed."""
        start = len(MESSAGE)
        number = frame[start : start + 8]
        if not frame.startswith(MESSAGE) or len(frame) < OVERHEAD:
            raise NotSealed("it is not sealed")
        if int.from_bytes(number, "big") <= self._heard:
            raise NotSealed("it was said before")
        text = self._box.opened(self._theirs + number, frame[start + 8 :])
        self._heard = int.from_bytes(number, "big")
        return text[0], text[1:]


def socket_type(kind: bytes) -> bytes:
    """As an end tells it, once nobody else can read it."""
    return b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind


class Handshake:
    """The client's side: `hello` goes out, `initiate` answers the WELCOME, `session` takes the READY."""

    def __init__(self, secret: bytes, daemon: bytes) -> None:
        """secret: `C`'s; daemon: the public key `S` that it must have. Raises NotSealed."""
        self._secret, self._daemon = secret, daemon
        self._public, self._own = keypair()
        self._outer = Box(daemon, self._own)
        self._inner = self._outer

    def hello(self) -> bytes:
        number = (1).to_bytes(8, "big")
        proof = self._outer.sealed(b"CurveZMQHELLO---" + number, bytes(64))
        return HELLO + VERSION + bytes(72) + self._public + number + proof

    def initiate(self, welcome: bytes) -> bytes:
        """Raises NotSealed where it comes from somebody else than the daemon that is meant."""
        start = len(WELCOME)
        nonce, sealed = welcome[start : start + 16], welcome[start + 16 :]
        told = self._outer.opened(b"WELCOME-" + nonce, sealed)
        if len(told) != KEY + COOKIE:
            raise NotSealed("it is no welcome")
        theirs, cookie = told[:KEY], told[KEY:]
        self._inner = Box(theirs, self._own)
        number, fresh = (2).to_bytes(8, "big"), urandom(16)
        vouch = Box(theirs, self._secret).sealed(b"VOUCH---" + fresh, self._public + self._daemon)
        text = public_of(self._secret) + fresh + vouch + socket_type(b"DEALER")
        return INITIATE + cookie + number + self._inner.sealed(b"CurveZMQINITIATE" + number, text)

    def session(self, ready: bytes) -> Session:
        """Raises NotSealed."""
        number = ready[len(READY) : len(READY) + 8]
        self._inner.opened(b"CurveZMQREADY---" + number, ready[len(READY) + 8 :])
        heard = int.from_bytes(number, "big")
        return Session(self._inner, is_client=True, said=2, heard=heard)
