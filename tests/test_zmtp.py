"""Our end of ZMTP, held against libzmq's own ROUTER and against peers that do not speak it."""

from __future__ import annotations

import _socket
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from time import monotonic

import pytest

import peers
from imgq import zmtp
from imgq.zmtp import Dealer

MOST = 80 << 20
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
SIZES = [0, 1, 254, 255, 256, 257, 65_535, 65_536, 5 << 20, 66 << 20]

Behavior = Callable[[socket.socket], object]


@pytest.fixture
def path() -> Iterator[str]:
    with peers.address() as path:
        yield path


def soon() -> float:
    return monotonic() + peers.PATIENCE_S


def body(size: int) -> bytes:
    """Bytes that tell if any are lost, doubled or moved."""
    return b"".join(number.to_bytes(4, "big") for number in range(min(size, 4096) // 4 + 1))[
        :size
    ].ljust(size, b"z")


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_of_any_size_goes_there_and_back(path: str, size: int) -> None:
    with peers.router(path) as router, closing(Dealer(path, soon())) as dealer:
        dealer.send(body(size), soon())
        peer, frame = router.recv_multipart()
        assert frame == body(size)
        router.send_multipart([peer, frame])
        assert dealer.receive(soon(), MOST) == body(size)


def test_many_frames_come_in_their_order(path: str) -> None:
    with peers.router(path) as router, closing(Dealer(path, soon())) as dealer:
        for number in range(300):
            dealer.send(body(number), soon())
        got = [router.recv_multipart() for _ in range(300)]
        assert [frame for _, frame in got] == [body(number) for number in range(300)]
        for peer, frame in got:
            router.send_multipart([peer, frame])
        assert [dealer.receive(soon(), MOST) for _ in range(300)] == list(map(body, range(300)))


def test_two_connections_are_two_peers(path: str) -> None:
    with (
        peers.router(path) as router,
        closing(Dealer(path, soon())) as one,
        closing(Dealer(path, soon())) as other,
    ):
        one.send(b"one", soon())
        other.send(b"other", soon())
        names = {frame: peer for peer, frame in (router.recv_multipart() for _ in range(2))}
        router.send_multipart([names[b"other"], b"to the other"])
        router.send_multipart([names[b"one"], b"to the one"])
        assert one.receive(soon(), MOST) == b"to the one"
        assert other.receive(soon(), MOST) == b"to the other"


def test_a_peer_that_beats_its_heart_is_heard_out(path: str) -> None:
    ping = b"\x04\x07\x04PING\x00\x00"
    with peers.listening(path, saying(GREETING + READY + ping + b"\x00\x02ok")):
        dealer = Dealer(path, soon())
        assert dealer.receive(soon(), MOST) == b"ok"
        dealer.close()


def test_a_frame_above_the_limit_is_not_read(path: str) -> None:
    with peers.router(path) as router, closing(Dealer(path, soon())) as dealer:
        dealer.send(b"?", soon())
        peer, _ = router.recv_multipart()
        router.send_multipart([peer, bytes(1001)])
        with pytest.raises(OSError, match="a frame of 1001 bytes came, 1000 is the most"):
            dealer.receive(soon(), 1000)


def test_a_claim_of_20_gib_costs_nothing(path: str) -> None:
    with peers.listening(path, saying(GREETING + READY + b"\x02" + (20 << 30).to_bytes(8, "big"))):
        dealer = Dealer(path, soon())
        with pytest.raises(OSError, match="is the most"):
            dealer.receive(soon(), MOST)
        dealer.close()


def test_a_message_of_several_frames_is_refused(path: str) -> None:
    with peers.router(path) as router, closing(Dealer(path, soon())) as dealer:
        dealer.send(b"?", soon())
        peer, _ = router.recv_multipart()
        router.send_multipart([peer, b"one", b"two"])
        with pytest.raises(OSError, match="several frames"):
            dealer.receive(soon(), MOST)


def test_who_does_not_answer_is_not_waited_for_longer(path: str) -> None:
    with peers.router(path), closing(Dealer(path, soon())) as dealer:
        dealer.send(b"?", soon())
        with pytest.raises(TimeoutError):
            dealer.receive(monotonic() + 0.05, MOST)
        with pytest.raises(TimeoutError):
            dealer.receive(monotonic() - 1, MOST)
        with pytest.raises(TimeoutError):
            dealer.send(b"?", monotonic() - 1)


def test_who_does_not_read_is_not_waited_for_longer(path: str) -> None:
    def greet_and_sleep(connection: socket.socket) -> None:
        connection.sendall(GREETING + READY)
        timed_out.result(peers.PATIENCE_S)

    timed_out: Future[None] = Future()
    with peers.listening(path, greet_and_sleep), closing(Dealer(path, soon())) as dealer:
        try:
            with pytest.raises(TimeoutError):
                dealer.send(bytes(16 << 20), monotonic() + 0.05)
        finally:
            timed_out.set_result(None)


def test_who_listens_and_accepts_nobody_is_not_waited_for_longer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(TimeoutError):
            Dealer(path, monotonic() + 0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere who comes to a full line is refused")
def test_where_too_many_come_it_waits_for_its_turn(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    class Watched(_socket.socket):
        def connect(self, address: object) -> None:
            begun.set()
            super().connect(address)

    def let_in() -> list[socket.socket]:
        begun.wait(peers.PATIENCE_S)
        before, dealer = listener.accept()[0], listener.accept()[0]
        dealer.sendall(GREETING + READY)
        return [before, dealer]

    monkeypatch.setattr(zmtp, "socket", Watched)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        listener.settimeout(peers.PATIENCE_S)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        pool = stack.enter_context(ThreadPoolExecutor())
        others = pool.submit(let_in)
        Dealer(path, soon()).close()
        for each in others.result(peers.PATIENCE_S):
            each.close()


def saying(words: bytes) -> Behavior:
    def behave(connection: socket.socket) -> None:
        connection.sendall(words)
        peers.until_closed(connection)

    return behave


@pytest.mark.parametrize(
    "words",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"S", b"220 mail.example ready\r\n" * 9, bytes(64)],
)
def test_a_peer_that_speaks_something_else(path: str, words: bytes) -> None:
    with peers.listening(path, saying(words)), pytest.raises(OSError, match="does not speak ZMTP"):
        Dealer(path, soon())


@pytest.mark.parametrize("said", [b"", GREETING[:10], GREETING, GREETING + READY[:9]], ids=range(4))
def test_a_peer_that_closes_while_it_greets(path: str, said: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(said)

    with peers.listening(path, behave), pytest.raises(ConnectionError):
        Dealer(path, soon())


@pytest.mark.parametrize("said", [b"", b"\x00", b"\x02" + bytes(3), b"\x00\x05abc"], ids=range(4))
def test_a_peer_that_closes_while_it_answers(path: str, said: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(GREETING + READY + said)
        connection.shutdown(socket.SHUT_WR)
        peers.until_closed(connection)

    with peers.listening(path, behave), closing(Dealer(path, soon())) as dealer:
        with pytest.raises(ConnectionError, match="closed the connection"):
            dealer.receive(soon(), MOST)
        dealer.close()


def test_a_router_that_ends_is_noticed(path: str) -> None:
    with peers.router(path) as router:
        dealer = Dealer(path, soon())
        dealer.send(b"?", soon())
        router.recv_multipart()
    with closing(dealer), pytest.raises(ConnectionError):
        dealer.receive(soon(), MOST)


def test_bytes_that_come_one_by_one_are_put_together(path: str) -> None:
    def behave(connection: socket.socket) -> None:
        for byte in GREETING + READY + b"\x02" + (300).to_bytes(8, "big") + body(300):
            connection.send(bytes((byte,)))
        peers.until_closed(connection)

    with peers.listening(path, behave), closing(Dealer(path, soon())) as dealer:
        assert dealer.receive(soon(), MOST) == body(300)
        dealer.close()


def test_nobody_listens(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Dealer(path, soon())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        with pytest.raises(ConnectionRefusedError):
            Dealer(path, soon())
