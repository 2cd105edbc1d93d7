"""CURVE, held against libzmq's own: its DEALER asks our daemon, our client asks its ROUTER."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from conftest import until
from far import free_port, raw
from imgq import curve, keys, wire
from imgq.curve import Handshake, NotSealed
from imgq.errors import KeyRefused
from imgq.remote import FarDealer
from imgqd.serve import crowd, peer
from imgqd.serve.curve import Curve
from imgqd.serve.gate import Gate
from imgqd.serve.lanes import OF_ONE_PROCESS, SLOW_OF_ONE_PROCESS
from imgqd.serve.line import AT_A_TIME
from imgqd.serve.server import Server
from imgqd.serve.zmtp import COMMAND, Conversation, Stranger, framed
from served import PATIENCE_S, Answers, is_closed, place

MOST = 1000
SIZES = [0, 1, 200, 255, 256, 65_536, 3 << 20]


# ── bytes alone ─────────────────────────────────────────────────────────────────────────────────────


class Ends:
    """A client and our daemon's end of a connection, without a socket between them."""

    def __init__(self, allows: bool = True, knows: bytes | None = None) -> None:
        self.public, self.secret = curve.keypair()
        self.daemons, secret = curve.keypair()
        self.mechanism = Curve(secret, lambda public: allows and public == self.public)
        self.daemon = Conversation(MOST, self.mechanism)
        self.client = Handshake(self.secret, knows or self.daemons)
        self.daemon.owed.clear()
        assert self.said(curve.CLIENTS_GREETING) == []

    def said(self, data: bytes) -> list[bytes]:
        """Every message of what the client says now."""
        self.daemon.hear(data)
        found = []
        while (message := self.daemon.message()) is not None:
            found.append(message)
        return found

    def answer(self) -> bytes:
        """The command that the daemon owes."""
        owed = bytes(self.daemon.owed)
        self.daemon.owed.clear()
        return owed[9:] if owed[0] & 2 else owed[2:]

    def session(self) -> curve.Session:
        self.said(framed(self.client.hello(), COMMAND))
        initiate = self.client.initiate(self.answer())
        self.said(framed(initiate, COMMAND))
        return self.client.session(self.answer())


def test_two_ends_come_to_know_each_other() -> None:
    ends = Ends()
    session = ends.session()
    assert ends.mechanism.guest == ends.public
    assert ends.said(framed(session.sealed(b"one")) + framed(session.sealed(b"two"))) == [
        b"one",
        b"two",
    ]
    sealed = ends.daemon.framed(b"an answer")
    assert b"answer" not in sealed
    assert session.opened(sealed[2:]) == (0, b"an answer")


def test_a_message_may_be_as_long_as_in_the_clear_and_no_longer() -> None:
    ends = Ends()
    session = ends.session()
    assert ends.said(framed(session.sealed(bytes(MOST)))) == [bytes(MOST)]
    with pytest.raises(Stranger, match="claims"):
        ends.said(framed(session.sealed(bytes(MOST + 1))))


def test_a_ping_is_answered_sealed() -> None:
    ends = Ends()
    session = ends.session()
    assert ends.said(framed(session.sealed(b"\x04PING\x00\x0aabc", curve.COMMAND))) == []
    assert session.opened(ends.answer()) == (curve.COMMAND, b"\x04PONGabc")


def test_a_message_of_several_frames_is_an_empty_one() -> None:
    ends = Ends()
    session = ends.session()
    first, last = session.sealed(b"a", curve.MORE), session.sealed(b"b")
    assert ends.said(framed(first) + framed(last)) == [b""]


def test_a_key_that_is_not_allowed_is_told_so() -> None:
    ends = Ends(allows=False)
    with pytest.raises(Stranger, match=f"{ends.public.hex()} is not allowed") as caught:
        ends.session()
    assert caught.value.last == framed(b"\x05ERROR\x03400", COMMAND)
    assert not ends.daemon.is_ready


def test_who_means_another_daemon_is_told_so() -> None:
    other, _ = curve.keypair()
    with pytest.raises(Stranger, match="other keys") as caught:
        Ends(knows=other).session()
    assert caught.value.last


def test_nothing_is_heard_twice() -> None:
    ends = Ends()
    sealed = framed(ends.session().sealed(b"remove"))
    assert ends.said(sealed) == [b"remove"]
    with pytest.raises(Stranger, match="said before"):
        ends.said(sealed)


@pytest.mark.parametrize("at", [0, 8, 16, 20, -1])
def test_nothing_is_heard_that_was_changed_on_the_way(at: int) -> None:
    ends = Ends()
    sealed = bytearray(ends.session().sealed(b"status"))
    sealed[at] ^= 1
    with pytest.raises(Stranger):
        ends.said(framed(bytes(sealed)))


@pytest.mark.parametrize(
    "said", [framed(b"in the clear"), framed(b"\x04PING\0\0", COMMAND), framed(b"")]
)
def test_nothing_is_heard_that_is_not_sealed(said: bytes) -> None:
    ends = Ends()
    ends.session()
    with pytest.raises(Stranger):
        ends.said(said)


@pytest.mark.parametrize("step", ["hello", "initiate"])
@pytest.mark.parametrize("part", range(0, 260, 13))
def test_a_handshake_that_was_changed_on_the_way_is_none(step: str, part: int) -> None:
    ends = Ends()
    words = bytearray(ends.client.hello())
    if step == "initiate":
        ends.said(framed(bytes(words), COMMAND))
        words = bytearray(ends.client.initiate(ends.answer()))
    at = part % len(words)
    words[at] ^= 1
    # The padding of a HELLO, against amplification, is nobody's.
    if step == "hello" and 8 <= at < 80:
        assert ends.said(framed(bytes(words), COMMAND)) == []
        return
    with pytest.raises(Stranger):
        ends.said(framed(bytes(words), COMMAND))
    assert not ends.daemon.is_ready


@pytest.mark.parametrize("length", [0, 6, 7, 50, 199, 201, 600])
def test_words_of_another_length_are_no_handshake(length: int) -> None:
    with pytest.raises(Stranger):
        Ends().said(framed((curve.HELLO + curve.VERSION).ljust(length, b"\0")[:length], COMMAND))
    ends = Ends()
    ends.said(framed(ends.client.hello(), COMMAND))
    words = ends.client.initiate(ends.answer())
    with pytest.raises(Stranger):
        ends.said(framed(words.ljust(length, b"\0")[: min(length, len(words) - 1)], COMMAND))


def test_a_key_of_zeros_is_none() -> None:
    hello = bytearray(Ends().client.hello())
    hello[80:112] = bytes(32)
    with pytest.raises(Stranger):
        Ends().said(framed(bytes(hello), COMMAND))


def test_the_words_of_another_connection_are_of_no_use() -> None:
    one, two = Ends(), Ends()
    two.client = Handshake(one.secret, two.daemons)
    one.said(framed(one.client.hello(), COMMAND))
    initiate = one.client.initiate(one.answer())
    two.said(framed(two.client.hello(), COMMAND))
    with pytest.raises(Stranger):
        two.said(framed(initiate, COMMAND))


def test_a_welcome_of_somebody_else_is_not_believed() -> None:
    ends, other = Ends(), Ends()
    other.said(framed(other.client.hello(), COMMAND))
    with pytest.raises(NotSealed):
        ends.client.initiate(other.answer())


def test_who_has_an_allowed_key_but_not_its_secret_is_not_let_in() -> None:
    """It says the public half of an allowed key, and vouches with its own."""
    ends = Ends()
    ends.client._secret, allowed = curve.keypair()[1], ends.public
    ends.said(framed(ends.client.hello(), COMMAND))
    real, curve_public_of = ends.client, curve.public_of
    try:
        curve.public_of = lambda secret: allowed
        words = real.initiate(ends.answer())
    finally:
        curve.public_of = curve_public_of
    with pytest.raises(Stranger, match="sealed for somebody else"):
        ends.said(framed(words, COMMAND))


@pytest.mark.parametrize("of", ["_public", "_daemon"])
def test_who_vouches_for_another_connection_or_daemon_is_not_let_in(of: str) -> None:
    """As a daemon would that somebody asks, and that hands on to ours what it is told."""
    ends = Ends()
    ends.said(framed(ends.client.hello(), COMMAND))
    setattr(ends.client, of, curve.keypair()[0])
    with pytest.raises(Stranger, match="vouches for somebody else"):
        ends.said(framed(ends.client.initiate(ends.answer()), COMMAND))


@pytest.mark.parametrize("flags", [curve.MORE, COMMAND])
def test_what_is_sealed_says_inside_what_it_is(flags: int) -> None:
    ends = Ends()
    sealed = ends.session().sealed(b"status")
    with pytest.raises(Stranger, match="not sealed"):
        ends.said(framed(sealed, flags))


@pytest.mark.parametrize("head", [b"\x02", b"\x06"])
def test_who_is_not_known_yet_may_claim_a_kilobyte(head: bytes) -> None:
    with pytest.raises(Stranger, match="claims a frame of 1030 bytes, 1024"):
        Ends().said(head + (1030).to_bytes(8, "big"))


# ── libzmq asks our daemon ──────────────────────────────────────────────────────────────────────────


class Listening:
    """A server that listens on this machine's own network."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.answers = answers
        self.gate = Gate(self.address)
        self.server = Server(place(folder), answers, self.gate)
        self.server.start()
        secret = keys.secret(keys.DAEMON)
        assert secret
        self.public = curve.public_of(secret)

    def allow(self, public: bytes, right: str = keys.READ) -> None:
        name = f"k{public.hex()[:6]}"
        keys.allow(keys.Allowed(name=name, public=public.hex(), right=right))


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "home"))
    listening = Listening(tmp_path, Answers())
    yield listening
    listening.answers.go.set()
    listening.server.stop()


class Asking:
    """libzmq's DEALER with keys, and what its monitor tells."""

    def __init__(self, listening: Listening, daemon: bytes | None = None) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        self.public, secret = curve.keypair()
        self.socket.curve_publickey, self.socket.curve_secretkey = self.public, secret
        self.socket.curve_serverkey = daemon or listening.public
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ALL)
        self._address = listening.address

    def connect(self) -> None:
        self.socket.connect(self._address)

    def event(self, wanted: int) -> int:
        """The value of the first such event."""
        while self.monitor.poll(int(PATIENCE_S * 1000)):
            told = recv_monitor_message(self.monitor)
            if told["event"] == wanted:
                value: int = told["value"]
                return value
        pytest.fail("it is not told")

    def ask(self, request: wire.Request) -> wire.Reply:
        self.socket.send(wire.pack_request(request, 3))
        assert self.socket.poll(int(PATIENCE_S * 1000)), "no answer came"
        return wire.unpack_reply(self.socket.recv())[2]

    def close(self) -> None:
        self.socket.disable_monitor()
        self._context.destroy(linger=0)


def test_libzmqs_dealer_is_answered(listening: Listening) -> None:
    with closing(Asking(listening)) as asking:
        listening.allow(asking.public)
        asking.connect()
        assert asking.ask(wire.AskRoots()) == wire.Roots(roots=())
        asking.socket.send(wire.pack_request(wire.Export(), 4))
        for _ in range(200):
            assert asking.socket.poll(int(PATIENCE_S * 1000))
            assert isinstance(wire.unpack_reply(asking.socket.recv())[2], wire.Vectors)


def test_libzmqs_heartbeat_is_answered(listening: Listening) -> None:
    with closing(Asking(listening)) as asking:
        asking.socket.setsockopt(zmq.HEARTBEAT_IVL, 20)
        asking.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2000)
        listening.allow(asking.public)
        asking.connect()
        assert asking.ask(wire.AskRoots()) == wire.Roots(roots=())
        # A pong that it cannot read would end the connection.
        assert not asking.socket.poll(200)
        assert asking.ask(wire.AskRoots()) == wire.Roots(roots=())
        (guest,) = listening.server._crowd
        assert guest.is_ready


def test_libzmqs_dealer_is_told_that_its_key_is_not_allowed(listening: Listening) -> None:
    with closing(Asking(listening)) as asking:
        asking.connect()
        assert asking.event(zmq.EVENT_HANDSHAKE_FAILED_AUTH) == 400
    assert listening.answers.begun == 0


def test_libzmqs_dealer_without_keys_is_not_heard(listening: Listening) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as asking:
        asking.setsockopt(zmq.LINGER, 0)
        asking.connect(listening.address)
        asking.send(wire.pack_request(wire.AskRoots(), 1))
        assert not asking.poll(300)


def test_several_frames_of_libzmqs_are_refused(listening: Listening) -> None:
    with closing(Asking(listening)) as asking:
        listening.allow(asking.public)
        asking.connect()
        asking.socket.send_multipart([wire.pack_request(wire.AskRoots(), 1)] * 1000)
        assert asking.socket.poll(int(PATIENCE_S * 1000))
        reply = wire.unpack_reply(asking.socket.recv())[2]
        assert isinstance(reply, wire.Fault)
        assert reply.exit_code == 2


@pytest.mark.parametrize(
    ("request_", "most"),
    [
        (wire.Search(terms=(wire.Term(text="x"),)), OF_ONE_PROCESS),
        (wire.Settle(timeout=5.0), SLOW_OF_ONE_PROCESS),
    ],
    ids=["Search", "Settle"],
)
def test_all_that_comes_with_one_key_waits_in_one_line(
    listening: Listening, request_: wire.Request, most: int
) -> None:
    """Whatever it asks over many connections, another key has its turn."""
    with ExitStack() as held:
        public, secret = curve.keypair()
        listening.allow(public)
        flood = [
            held.enter_context(closing(dealt(listening.port, secret, listening.public)))
            for _ in range(20)
        ]
        for dealer in flood:
            for number in range(AT_A_TIME):
                dealer.send(wire.pack_request(request_, number), soon())
        until(lambda: listening.answers.begun == most, "as many as one key may have")
        other, secret = curve.keypair()
        listening.allow(other)
        dealer = held.enter_context(closing(dealt(listening.port, secret, listening.public)))
        dealer.send(wire.pack_request(request_, 1), soon())
        until(lambda: listening.answers.begun == most + 1, "the other key's turn")


@pytest.mark.parametrize("length", [0, 63, 64, 80, 266])
def test_who_does_not_come_to_an_end_in_time_is_sent_away(
    listening: Listening, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amid its greeting, and amid the handshake."""
    monkeypatch.setattr(peer, "GREETING_S", 0.1)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    hello = framed(Handshake(curve.keypair()[1], listening.public).hello(), COMMAND)
    assert is_closed(raw(listening.address, (curve.CLIENTS_GREETING + hello)[:length]))


# ── our client asks libzmq ──────────────────────────────────────────────────────────────────────────


@contextmanager
def routing(clients: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes, zmq.Socket[Any]]]:
    """A ROUTER of libzmq's with keys: its port, its public key, and itself."""

    class Allowing:
        def callback(self, domain: str, key: bytes) -> bool:
            return clients(zmq.utils.z85.decode(key))

    public, secret = curve.keypair()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as bound:
        guard = ThreadAuthenticator(context)
        guard.start()
        guard.configure_curve_callback(domain="*", credentials_provider=Allowing())
        bound.setsockopt(zmq.LINGER, 0)
        bound.curve_server, bound.curve_secretkey, bound.curve_publickey = True, secret, public
        port = bound.bind_to_random_port("tcp://127.0.0.1")
        try:
            yield port, public, bound
        finally:
            guard.stop()


def dealt(port: int, secret: bytes, daemon: bytes) -> FarDealer:
    connected = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    return FarDealer(connected, Handshake(secret, daemon), soon())


def soon() -> float:
    return monotonic() + PATIENCE_S


def test_our_client_asks_libzmqs_router() -> None:
    _, secret = curve.keypair()
    with routing(lambda _: True) as (port, public, bound), ThreadPoolExecutor(1) as pool:
        dealer = dealt(port, secret, public)
        for size in SIZES:
            dealer.send(bytes(size), soon())
            heard = pool.submit(bound.recv_multipart).result(PATIENCE_S)
            assert heard[1] == bytes(size)
            bound.send_multipart(heard)
            assert dealer.receive(soon(), size) == bytes(size)
        dealer.close()


def test_our_client_is_told_what_libzmqs_router_thinks_of_its_key() -> None:
    _, secret = curve.keypair()
    with routing(lambda _: False) as (port, public, _), pytest.raises(KeyRefused):
        dealt(port, secret, public)


def test_our_client_does_not_wait_for_a_router_that_cannot_read_it() -> None:
    _, secret = curve.keypair()
    other, _ = curve.keypair()
    with routing(lambda _: True) as (port, _, _), pytest.raises((ConnectionError, NotSealed)):
        dealt(port, secret, other)


def test_a_gate_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("imgqd.serve.server._RETRY_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gate = Gate(f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        server = Server(place(tmp_path), Answers(), gate)
        server.start()
        assert "in use" in gate.trouble
    until(lambda: not gate.trouble, "the gate to be open")
    server.stop()
