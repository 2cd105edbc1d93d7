"""A real server on a real socket, what it answers, and who asks it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from imgq import wire
from imgq.errors import Refused
from imgqd.serve.server import Server

PATIENCE_S = 30.0
# A greeting as ZeroMQ's RFC 23 has it.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


class Answers:
    """What the server under test answers: told by the kind of a request, and by its path."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0
        self.exports = 0
        self.made = 0
        self.left = 0

    def __call__(self, request: wire.Request) -> Iterator[wire.Reply]:
        match request:
            case wire.AskRoots():
                return iter([wire.Roots(roots=())])
            case wire.Search() | wire.Settle():
                return self._when_told()
            case wire.Export():
                return self._megabytes()
            case wire.AskFiles():
                return iter([])
            case wire.AskErrors():
                return self._until_it_breaks()
            case wire.AskInfo(path=path):
                raise Refused(f"there is no {os.fsdecode(path)}", "name another")
        raise KeyError("a bug")

    def _when_told(self) -> Iterator[wire.Reply]:
        self.begun += 1
        self.go.wait(PATIENCE_S)
        yield wire.Settled(settled=True, pending=0)

    def _megabytes(self) -> Iterator[wire.Reply]:
        self.exports += 1
        try:
            for number in range(200):
                self.made += 1
                vector = wire.Vector(path=b"%d" % number, hash="", vector=bytes(65536))
                yield wire.Vectors(vectors=(vector,) * 16)
        finally:
            self.left += 1

    def _until_it_breaks(self) -> Iterator[wire.Reply]:
        yield wire.Errors(errors=())
        raise ValueError("a bug amid an answer")


class Client:
    """libzmq's own DEALER, which sends whatever it is told to."""

    def __init__(self, path: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        self.socket.connect(f"ipc://{path}")

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def receive(self) -> tuple[int, bool, wire.Reply]:
        assert self.socket.poll(int(PATIENCE_S * 1000)), "no answer came"
        return wire.unpack_reply(self.socket.recv())

    def ask(self, request: wire.Request, number: int = 1) -> wire.Reply:
        """The first reply; fails where it is not to this request."""
        self.send(wire.pack_request(request, number))
        told, _, reply = self.receive()
        assert told == number
        return reply

    def fault(self, *frames: bytes) -> wire.Fault:
        self.send(*frames)
        _, more, reply = self.receive()
        assert isinstance(reply, wire.Fault)
        assert not more
        return reply

    def close(self) -> None:
        self._context.destroy(linger=0)


def raw(path: str, data: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.settimeout(PATIENCE_S)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Reads what comes until the other side closes."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    connection.close()
    return True


def roots(client: Client) -> bool:
    """Whether a prompt question is answered."""
    return isinstance(client.ask(wire.AskRoots(), 7), wire.Roots)


def place(folder: Path) -> str:
    """A socket's path is short, and pytest's folders are not always."""
    private = folder / "run"
    private.mkdir(mode=0o700)
    return os.fspath(private / "socket")


@contextmanager
def serving(path: str, answers: Answers) -> Iterator[Server]:
    server = Server(path, answers)
    server.start()
    try:
        yield server
    finally:
        answers.go.set()
        server.stop()
