"""Telling a service manager how the daemon does: sd_notify(3), a datagram a message."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Sends, for example, READY=1; without a manager that listens it does nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ stands for the abstract namespace's NUL.
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        try:
            line.sendto(state.encode(), name)
        except OSError:
            # The manager is gone; the daemon does not end for that.
            return


def is_listening() -> bool:
    """Whether a manager wants to know."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def watchdog_s() -> float | None:
    """Seconds without a sign of life after which the manager takes the daemon for dead, None where it asks
    for none."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    told = int(usec) if usec.isdecimal() else 0
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return told / 1e6 if told and ours else None
