"""A decoder, with all its barriers, that does what stands behind MARK in a picture."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgpack

from imgqd.pictures import decoder
from imgqd.pictures.decode import decode

MARK = b"unruly: "
CHANNEL = int(sys.argv[1]) if __name__ == "__main__" else -1


def hang() -> None:
    while True:
        pass


def fill_memory() -> None:
    """The decoder's own limit comes sooner than the kernel's: it does to itself what the kernel would."""
    kept = []
    with suppress(OSError):
        while True:
            kept.append(mmap.mmap(-1, 64 << 20))
    signal.raise_signal(signal.SIGKILL)


def hang_up() -> None:
    os.close(CHANNEL)
    hang()


def answer_nonsense() -> None:
    body = msgpack.packb({"answer": "failed", "kind": "mine", "reason": ""})
    os.write(CHANNEL, struct.pack("<I", len(body)) + body)


def print_much() -> None:
    for _ in range(1600):
        with suppress(BlockingIOError):
            os.write(2, b"x" * 65536)


ACTS: dict[bytes, Callable[[], object]] = {
    b"segfault": lambda: ctypes.string_at(0),
    b"fill memory": fill_memory,
    b"hang": hang,
    b"close the pipe": hang_up,
    # A length that no message has; the daemon would wait for the rest of one. Both go on as if they had
    # said nothing.
    b"say garbage": lambda: os.write(CHANNEL, b"\xff\xff\xff\xff" + os.urandom(1000)),
    b"answer nonsense": answer_nonsense,
    b"print much": print_much,
}


def poison(picture: bytes, act: bytes) -> bytes:
    """The same JPEG, with a comment."""
    comment = MARK + act + b"\0"
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


def _unruly(file: Any, *arguments: Any) -> Any:
    file.seek(0)
    said = file.read(100).partition(MARK)[2].partition(b"\0")[0]
    if said:
        ACTS[said]()
    return decode(file, *arguments)


if __name__ == "__main__":
    # What an act needs of the disk.
    ctypes.string_at(b"x")
    decoder.decode = _unruly
    decoder.main(sys.argv[1:])
