"""A daemon on another machine: over TCP, with keys by which both ends know each other."""

from __future__ import annotations

import socket
import threading
from time import monotonic

from imgq import keys
from imgq.curve import CLIENTS_GREETING, ERROR, OVERHEAD, READY, WELCOME, Handshake, NotSealed
from imgq.errors import KeyRefused, UsageError
from imgq.paths import host_and_port
from imgq.zmtp import Dealer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# In the greeting behind its first byte, the mechanism that the other end wants.
_MECHANISM = slice(11, 31)
_COMMAND, _LONG = 4, 6


class FarDealer(Dealer):
    """A connection that is greeted, ready and sealed. Calls raise OSError, as a Dealer's do."""

    def __init__(self, connected: socket.socket, handshake: Handshake, deadline: float) -> None:
        """Raises KeyRefused where one end does not know the other."""
        self._socket = connected
        self._buffer = bytearray()
        try:
            self._within(deadline)
            self._send_all(CLIENTS_GREETING)
            if self._hear_greeting(deadline)[_MECHANISM].rstrip(b"\0") != b"CURVE":
                raise OSError("what answers there takes no keys")
            self._send_command(handshake.hello())
            self._send_command(handshake.initiate(self._hear(WELCOME, deadline)))
            self._session = handshake.session(self._hear(READY, deadline))
        except BaseException:
            self.close()
            raise

    def send(self, frame: bytes, deadline: float) -> None:
        super().send(self._session.sealed(frame), deadline)

    def receive(self, deadline: float, most: int) -> bytes:
        try:
            flags, frame = self._session.opened(super().receive(deadline, most + OVERHEAD))
        except NotSealed as error:
            raise OSError(f"what came is not the daemon's: {error}") from None
        if flags:
            raise OSError("a message of several frames came, imgq sends none")
        return frame

    def _send_command(self, body: bytes) -> None:
        head = bytes((_COMMAND, len(body))) if len(body) < 256 else b""
        self._send_all((head or bytes((_LONG,)) + len(body).to_bytes(8, "big")) + body)

    def _hear(self, expected: bytes, deadline: float) -> bytes:
        """The handshake's next word. Raises NotSealed where the other end cannot read what was sealed for
        the daemon that is meant, KeyRefused where it does not let in who sealed it."""
        _, body = self._frame(deadline)
        if body.startswith(ERROR):
            raise NotSealed("it cannot read our words") if expected is WELCOME else KeyRefused("")
        if not body.startswith(expected):
            raise OSError("what answers there does not speak CURVE")
        return body


def connected(address: str, deadline: float) -> FarDealer:
    """Raises UsageError where a key is missing here, KeyRefused where there."""
    name = keys.address(address)
    secret = keys.secret(keys.CLIENT)
    theirs = next((each.public for each in keys.trusted() if each.address == name), None)
    if secret is None:
        raise UsageError("this machine has no key of its own yet", "`imgq keys create` makes one")
    if theirs is None:
        raise UsageError(
            f"the key of {name} is not known here",
            f"`imgq keys show` tells it at that machine; then `imgq keys trust {name} KEY`",
        )
    try:
        return FarDealer(
            _opened(name, deadline), Handshake(secret, bytes.fromhex(theirs)), deadline
        )
    except NotSealed as error:
        raise KeyRefused(
            f"what answers on {name} has not the key that is trusted: {error}",
            f"compare it with `imgq keys show` at that machine; `imgq keys trust {name} KEY` has another",
        ) from None
    except KeyRefused:
        own = keys.public(secret)
        raise KeyRefused(
            f"the daemon on {name} does not allow this machine's key",
            f"at that machine: imgq keys allow {own} --name {own_name()}",
        ) from None


def own_name() -> str:
    """What this machine may be called where its key is allowed."""
    host = socket.gethostname().partition(".")[0]
    return "".join(c for c in host if c.isascii() and (c.isalnum() or c in "-_")) or "client"


def _opened(address: str, deadline: float) -> socket.socket:
    """A connection to the first place of a name that takes it. Raises OSError."""
    failure: OSError = OSError("it has no address")
    for family, kind, protocol, _, place in _places(*host_and_port(address), deadline):
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(_left(deadline))
            made.connect(place)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure


def _places(host: str, port: int, deadline: float) -> list[Any]:
    """What the name of a machine stands for. Whoever looks names up may take its time, and cannot be
    told to hurry: it is not waited for."""
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(_left(deadline))
    if not found:
        raise TimeoutError("timed out")
    if isinstance(found[0], OSError):
        raise OSError(f"{host} has no address here: {found[0].strerror}")
    places: list[Any] = found[0]
    return places


def _left(deadline: float) -> float:
    if (left := deadline - monotonic()) <= 0:
        raise TimeoutError("timed out")
    return left
