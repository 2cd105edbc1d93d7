"""The daemon's side of CURVE: who comes over a network, and what they say, opened. Bytes alone, no socket.

The protocol is ZeroMQ's RFC 26; tests hold it against libzmq's own DEALER.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom

from imgq.curve import (
    COOKIE,
    DAEMONS_GREETING,
    ERROR,
    HELLO,
    INITIATE,
    KEY,
    NOT_ALLOWED,
    OVERHEAD,
    READY,
    VERSION,
    WELCOME,
    Box,
    NotSealed,
    Session,
    keypair,
    public_of,
    socket_type,
)
from imgqd.serve.zmtp import COMMAND, Mechanism, Stranger, framed

_HELLO_BYTES = 200
# Whatever it says of itself besides its keys.
_LEAST_INITIATE = len(INITIATE) + COOKIE + 8 + 16 + KEY + 16 + 2 * KEY + 16
_VOUCH = slice(KEY, KEY + 16), slice(KEY + 16, KEY + 16 + 2 * KEY + 16)


class Curve(Mechanism):
    """One client's handshake and session. guest: its public key, once it has proved that it has the
    secret one."""

    greeting = DAEMONS_GREETING
    overhead = OVERHEAD

    def __init__(self, secret: bytes, is_allowed: Callable[[bytes], bool]) -> None:
        self._secret = secret
        self._is_allowed = is_allowed
        self._theirs = self._own = self._cookie = b""
        self._session: Session | None = None
        self.guest = b""

    @property
    def is_ready(self) -> bool:  # type: ignore[override]
        return self._session is not None

    def begin(self) -> bytes:
        return b""

    def heed(self, command: bytes) -> bytes:
        try:
            return self._ready(command) if self._cookie else self._welcome(command)
        except NotSealed as error:
            raise Stranger(f"it has other keys: {error}", _error(b"another key")) from None

    def opened(self, flags: int, body: bytes) -> tuple[int, bytes]:
        if self._session is None or flags:
            raise Stranger("it says something that is not sealed")
        try:
            return self._session.opened(body)
        except NotSealed as error:
            raise Stranger(f"what it says cannot be opened: {error}") from None

    def framed(self, message: bytes, flags: int = 0) -> bytes:
        assert self._session
        return framed(self._session.sealed(message, flags))

    def _welcome(self, hello: bytes) -> bytes:
        """Answers a HELLO, which only the daemon that is meant can read."""
        version = hello[len(HELLO) : len(HELLO) + 2]
        if len(hello) != _HELLO_BYTES or not hello.startswith(HELLO) or version != VERSION:
            raise Stranger("it does not say hello")
        self._theirs, number, proof = hello[80:112], hello[112:120], hello[120:]
        outer = Box(self._theirs, self._secret)
        if outer.opened(b"CurveZMQHELLO---" + number, proof) != bytes(64):
            raise NotSealed("it is no hello")
        public, self._own = keypair()
        # It keeps nothing that the connection does not: the cookie only has to come back.
        self._cookie, nonce = urandom(COOKIE), urandom(16)
        welcome = outer.sealed(b"WELCOME-" + nonce, public + self._cookie)
        return _command(WELCOME + nonce + welcome)

    def _ready(self, initiate: bytes) -> bytes:
        """Answers an INITIATE, by which a client proves its lasting key."""
        if len(initiate) < _LEAST_INITIATE or not initiate.startswith(INITIATE):
            raise Stranger("it does not begin")
        cookie, rest = initiate[len(INITIATE) :][:COOKIE], initiate[len(INITIATE) + COOKIE :]
        if cookie != self._cookie:
            raise Stranger("it brings another cookie")
        inner = Box(self._theirs, self._own)
        number = rest[:8]
        text = inner.opened(b"CurveZMQINITIATE" + number, rest[8:])
        guest = text[:KEY]
        nonce, vouch = (text[part] for part in _VOUCH)
        vouched = Box(guest, self._own).opened(b"VOUCH---" + nonce, vouch)
        if vouched != self._theirs + public_of(self._secret):
            raise NotSealed("it vouches for somebody else")
        if not self._is_allowed(guest):
            raise Stranger(f"the key {guest.hex()} is not allowed", _error(NOT_ALLOWED))
        self.guest = guest
        heard = int.from_bytes(number, "big")
        self._session = Session(inner, is_client=False, said=1, heard=heard)
        said = (1).to_bytes(8, "big")
        sealed = inner.sealed(b"CurveZMQREADY---" + said, socket_type(b"ROUTER"))
        return _command(READY + said + sealed)


def _error(reason: bytes) -> bytes:
    return _command(ERROR + bytes((len(reason),)) + reason)


def _command(body: bytes) -> bytes:
    return framed(body, COMMAND)
