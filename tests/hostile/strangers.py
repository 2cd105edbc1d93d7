"""The socket of a daemon as others meet it: bytes on it, and other users at it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import psutil
import pytest

import conftest
from conftest import PATIENCE_S, Home, until
from imgq import client

NOBODY = 65534
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")


def address(home: Home) -> str:
    return f"{home.environment['IMGQ_HOME']}/run/socket"


def memory(home: Home) -> int:
    """Bytes that the daemon itself holds."""
    assert home.daemon
    return int(psutil.Process(home.daemon.pid).memory_info().rss)


def is_running(home: Home) -> bool:
    """With the process that it began with."""
    assert home.daemon
    return home.daemon.poll() is None and home.status().pid == home.daemon.pid


def soon() -> float:
    return monotonic() + PATIENCE_S


def start(home: Home, prefix: Sequence[str]) -> None:
    """The daemon by way of another command, which may stay and hold what it was given."""
    with open(home.folder / "log", "ab") as log:
        home.daemon = subprocess.Popen(
            [*prefix, sys.executable, "-m", "imgqd", "--model", "builtin"],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    until(client.answers, "the daemon to answer")


@contextmanager
def watching(folder: Path, **pictures: bytes) -> Iterator[Home]:
    """A daemon for a whole module of tests, which runs at the end as it did at the start; pictures: file
    names and bytes."""

    def fill(place: Path) -> None:
        for name, data in pictures.items():
            (place / name).write_bytes(data)

    with conftest.watching(folder, fill) as home:
        yield home
        assert is_running(home)


def raw(path: str, data: bytes) -> socket.socket:
    """A connection that has said this; who finds the way crowded tries again."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    until(lambda: connection.connect_ex(path) == 0, "to be let in")
    with suppress(OSError):
        connection.sendall(data)
    return connection


def as_nobody(path: str) -> str:
    """What another user meets who asks there: the name of the error, or "heard"."""
    with somebody_else(), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE_S)
        try:
            asking.connect(path)
            return "heard" if asking.recv(1) else "ConnectionResetError"
        except OSError as error:
            return type(error).__name__


@contextmanager
def somebody_else() -> Iterator[None]:
    """What is done meanwhile is done by another user."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
