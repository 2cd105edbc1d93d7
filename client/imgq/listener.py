"""Who listens on a Unix socket, as far as the system tells."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

# LOCAL_PEERPID of macOS's SOL_LOCAL; SO_PEERCRED, of which the first word is wanted.
_PROCESS = (0, 2) if sys.platform == "darwin" else (1, 17)
# A process that cannot be seen from here, and the first one of the machine.
_UNSEEN, _INIT = 0, 1


def listener(connected: socket) -> int:
    """The process that opened the socket at the other end; 0 for one that cannot be seen from here."""
    return int.from_bytes(connected.getsockopt(*_PROCESS, 4), sys.byteorder)


def may_hand_over(process: int) -> bool:
    """Whether it may be a service manager, which holds a socket for a service that is not up yet."""
    return process in (_UNSEEN, _INIT) or name(process) == "systemd"


def name(process: int) -> str:
    """Empty where the system does not tell."""
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
