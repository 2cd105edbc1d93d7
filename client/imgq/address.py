"""By which address others may reach this machine."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress

from imgq.remote import own_name

# Nobody's (RFC 5737): to say that one would go there has the system choose a way out, and sends nothing.
_FAR = ("192.0.2.1", 9)
# ioctl(2) of Linux: the address of an interface, at a place in struct ifreq.
_SIOCGIFADDR, _PLACE = 0x8915, slice(20, 24)


def own_address() -> str:
    """A number, for not every name of a machine is known to others: that which it goes out with, else that
    of an interface. Its name where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        with suppress(OSError):
            line.connect(_FAR)
            return str(line.getsockname()[0])
        numbers = (_number_of(line, name) for _, name in socket.if_nameindex())
        return next((each for each in numbers if each and not each.startswith("127.")), own_name())


def _number_of(line: socket.socket, interface: str) -> str | None:
    """None where it has no IPv4 address, or the system does not tell."""
    with suppress(OSError):
        asked = struct.pack("256s", interface.encode())
        return socket.inet_ntoa(fcntl.ioctl(line, _SIOCGIFADDR, asked)[_PLACE])
    return None
