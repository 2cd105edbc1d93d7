"""The way in from a network: where it is, by which key it is known, and who is let in with which right."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable

from imgq import keys
from imgq.errors import Failure
from imgq.paths import host_and_port
from imgqd.serve.curve import Curve
from imgqd.serve.peer import Peer

log = logging.getLogger(__name__)

# A machine that is gone without a word (asleep, out of reach) is missed after some two minutes.
_IDLE_S, _BETWEEN_S, _PROBES = 60, 10, 6
_BACKLOG = 256
# Of keys that are not let in, how many the log names: anybody can make others.
_MOST_TOLD = 100

# macOS has it by another name.
_KEEPALIVE: int = getattr(socket, "TCP_KEEPIDLE", 0) or getattr(socket, "TCP_KEEPALIVE", 0)

Stamp = tuple[int, int, int, int]


class Gate:
    """Opened and gone through by the thread that moves bytes; asked by any. trouble: why it is not open
    though it should be. changed: is called when somebody may have lost a right."""

    def __init__(self, listen: str = "") -> None:
        """listen: an address as `tcp://0.0.0.0:7571`, or nothing."""
        self.listen = listen
        self.trouble = ""
        self.changed: Callable[[], None] = lambda: None
        self._secret = b""
        self._known: tuple[Stamp | None, dict[str, str]] = (None, {})
        self._told: set[bytes] = set()

    def opened(self) -> socket.socket | None:
        """Listens, and does not block; None where that cannot be, and then `trouble` tells why."""
        try:
            self._secret = keys.made(keys.DAEMON)
            listening = _bound(*host_and_port(self.listen))
        except (OSError, Failure) as error:
            trouble = error.message if isinstance(error, Failure) else str(error.strerror)
            if trouble != self.trouble:
                log.error("nobody is listened to on %s: %s", self.listen, trouble)
            self.trouble = trouble
            return None
        self.trouble = ""
        log.info("listening on %s, with the key %s", self.listen, keys.public(self._secret))
        return listening

    def met(self, connection: socket.socket) -> Peer:
        """Who comes from the network, and is heard once it has proved an allowed key."""
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, _KEEPALIVE, _IDLE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        return Guest(connection, Curve(self._secret, self._lets_in), self)

    def right(self, public: bytes) -> str | None:
        """What a key may, by the file as it is now; None where it is not allowed."""
        stamp = _stamp(keys.path(keys.ALLOWED))
        if stamp is None or stamp != self._known[0]:
            self._known = (stamp, _read())
        return self._known[1].get(public.hex())

    def read_again(self) -> None:
        """Has whoever lost its right sent away at once."""
        self._known = (None, {})
        self._told.clear()
        self.changed()

    def _lets_in(self, public: bytes) -> bool:
        is_allowed = self.right(public) is not None
        if not is_allowed and public not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(public)
            log.warning("a client with the key %s is not let in", public.hex())
        return is_allowed


class Guest(Peer):
    """A client of another machine."""

    def __init__(self, connection: socket.socket, curve: Curve, gate: Gate) -> None:
        super().__init__(connection, curve)
        self._curve = curve
        self._gate = gate

    @property
    def process(self) -> int:
        """All that comes with one key counts as one process of another machine."""
        return -1 - (int.from_bytes(self._curve.guest[:7], "big") << 32)

    @property
    def right(self) -> str | None:
        return self._gate.right(self._curve.guest)

    @property
    def key(self) -> str:
        return self._curve.guest.hex()


def _read() -> dict[str, str]:
    try:
        return {each.public: each.right for each in keys.allowed()}
    except (OSError, ValueError) as error:
        log.error("nobody is let in: %s", error)
        return {}


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is every address of the machine, those of the older kind among them.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
