"""What a client may meet on its socket: libzmq's own ROUTER, and peers that are nothing of the kind."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import zmq

PATIENCE_S = 60.0


@contextmanager
def address() -> Iterator[str]:
    """A path that is short enough for a socket, wherever tests keep their files."""
    with tempfile.TemporaryDirectory(prefix="imgq-", dir="/tmp") as folder:
        yield f"{folder}/socket"


@contextmanager
def router(path: str) -> Iterator[zmq.Socket[Any]]:
    """A ROUTER bound to the path; libzmq's own thread greets whoever comes."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as bound:
        bound.setsockopt(zmq.LINGER, 0)
        bound.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        bound.setsockopt(zmq.ROUTER_MANDATORY, 1)
        bound.bind(f"ipc://{path}")
        yield bound


@contextmanager
def answering(path: str, replies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A ROUTER that answers one request with these frames; the list is given the request's frame."""
    asked: list[bytes] = []

    def serve(bound: zmq.Socket[Any]) -> None:
        peer, frame = bound.recv_multipart()
        asked.append(frame)
        for reply in replies:
            bound.send_multipart([peer, reply])

    with router(path) as bound, ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve, bound)
        yield asked
        served.result()


@contextmanager
def listening(path: str, behave: Callable[[socket.socket], object]) -> Iterator[None]:
    """A plain socket whose first connection is treated so, and then closed."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            behave(connection)

    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE_S)
        served = pool.submit(serve)
        yield
        served.result()


def until_closed(connection: socket.socket) -> None:
    """Reads, and says nothing, for as long as the other end stays."""
    while connection.recv(1 << 16):
        pass
