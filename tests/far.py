"""Two machines: one has the pictures and a daemon that listens, the other has a client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

from conftest import PATIENCE_S, Home
from imgq import remote
from imgq.curve import Handshake
from imgq.remote import FarDealer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Laptop:
    """Settings, keys and a shell of its own; `wrapper` is what puts its commands where it is."""

    def __init__(self, folder: Path, address: str, wrapper: tuple[str, ...] = ()) -> None:
        folder.mkdir()
        self.folder = folder
        self.address = address
        self.wrapper = wrapper
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")
        } | {"IMGQ_HOME": str(folder / "home"), "IMGQ_SOCKET": address}

    @property
    def keys(self) -> Path:
        return self.folder / "home" / "keys"

    def imgq(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.wrapper, sys.executable, "-m", "imgq", *words],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE_S,
        )

    def done(self, *words: str, code: int = 0) -> str:
        """What it prints, or says on stderr where it is to fail with a code."""
        done = self.imgq(*words)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr
        return (done.stderr if code else done.stdout).decode()

    def key(self) -> str:
        return self.done("keys", "create").strip()

    def dealer(self, daemon: str) -> FarDealer:
        """A connection of its own, once its key is made and allowed."""
        secret = bytes.fromhex((self.keys / "client.key").read_text())
        until = monotonic() + PATIENCE_S
        connected = remote._opened(self.address, until)
        return FarDealer(connected, Handshake(secret, bytes.fromhex(daemon)), until)


def listen(home: Home, address: str) -> str:
    """Has a daemon listen that is not started yet; its public key."""
    home.settings(f'listen = "{address}"\n')
    return shown(home)["daemon"]


def shown(home: Home) -> dict[str, str]:
    keys: dict[str, str] = home.json("keys", "show")
    return keys


def allow(home: Home, public: str, *options: str) -> None:
    done = home.imgq("keys", "allow", public, *options)
    assert done.returncode == 0, done.stderr


def raw(address: str, data: bytes) -> socket.socket:
    """A connection that has said this."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    connection = socket.create_connection((host, int(port)), PATIENCE_S)
    with suppress(OSError):
        connection.sendall(data)
    return connection
