"""The little of BPF that a seccomp filter needs: instructions that load, compare and return.

After <linux/bpf_common.h> and <linux/seccomp.h>. An instruction is a `struct sock_filter`.
"""

from __future__ import annotations

import struct

# Comparisons of what was loaded with a value.
EQUAL, AT_LEAST, ANY_BIT = 0x15, 0x35, 0x45
_LOAD, _RETURN = 0x20, 0x06

# Where things stand in `struct seccomp_data`.
NUMBER, ARCHITECTURE = 0, 4
_ARGUMENTS = 16


def argument(index: int) -> int:
    """Where the lower half of a call's argument stands, on a little-endian machine."""
    return _ARGUMENTS + 8 * index


def load(place: int) -> bytes:
    return _instruction(_LOAD, place)


def give(result: int) -> bytes:
    """Ends the filter."""
    return _instruction(_RETURN, result)


def when(test: int, value: int, *body: bytes) -> bytes:
    """Does the body where what was loaded passes the test."""
    return _instruction(test, value, otherwise=len(b"".join(body)) // 8) + b"".join(body)


def unless(test: int, value: int, *body: bytes) -> bytes:
    """Does the body where what was loaded does not pass the test."""
    return _instruction(test, value, then=len(b"".join(body)) // 8) + b"".join(body)


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """`then` and `otherwise`: how many instructions to leap over."""
    return struct.pack("=HBBI", code, then, otherwise, value)
