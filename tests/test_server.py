"""A real server on a real socket: what is asked of it, what is thrown at it, and who may come in."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import pytest

from conftest import until
from imgq import wire
from imgq.zmtp import Dealer
from imgqd.serve import peer
from imgqd.serve.lanes import (
    OF_ONE_PROCESS,
    PATIENT_THREADS,
    SLOW_OF_ONE_PROCESS,
    SLOW_THREADS,
)
from imgqd.serve.line import AT_A_TIME
from imgqd.serve.server import Server
from imgqd.serve.turns import MOST_WAITING
from imgqd.serve.zmtp import framed
from served import GREETING, PATIENCE_S, Answers, Client, is_closed, place, raw, roots, serving


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return place(tmp_path)


@pytest.fixture
def server(path: str, answers: Answers) -> Iterator[Server]:
    with serving(path, answers) as server:
        yield server


@pytest.fixture
def new_client(server: Server, path: str) -> Iterator[Callable[[], Client]]:
    with contextlib.ExitStack() as stack:

        def new() -> Client:
            client = Client(path)
            stack.callback(client.close)
            return client

        yield new


@pytest.fixture
def client(new_client: Callable[[], Client]) -> Client:
    return new_client()


# ── requests ────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_answered_with_its_number(client: Client) -> None:
    client.send(wire.pack_request(wire.AskRoots(), 4_000_000_000))
    assert client.receive() == (4_000_000_000, False, wire.Roots(roots=()))


def test_a_failure_is_told_in_its_own_words(client: Client) -> None:
    reply = client.ask(wire.AskInfo(path=b"/x"))
    assert reply == wire.Fault(exit_code=4, message="there is no /x", hint="name another")


def test_a_failure_may_name_a_path_that_is_no_text(client: Client) -> None:
    for _ in range(40):
        reply = client.ask(wire.AskInfo(path=b"/caf\xe9\xff"))
        assert isinstance(reply, wire.Fault)
        assert "/caf" in reply.message


def test_a_bug_is_told_and_harms_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(40):
        reply = client.ask(wire.AskStatus())
        assert isinstance(reply, wire.Fault)
        assert (reply.exit_code, "KeyError" in reply.message) == (70, True)
    assert "a request failed" in caplog.text
    assert roots(client)


def test_a_bug_amid_an_answer_ends_it(client: Client) -> None:
    client.send(wire.pack_request(wire.AskErrors(), 3))
    told = [client.receive() for _ in range(1)]
    if told[0][1]:
        told.append(client.receive())
    number, more, last = told[-1]
    assert isinstance(last, wire.Fault)
    assert (number, more, last.exit_code) == (3, False, 70)


def test_an_answer_of_nothing_is_a_bug(client: Client) -> None:
    reply = client.ask(wire.AskFiles())
    assert isinstance(reply, wire.Fault)
    assert reply.exit_code == 70


def test_a_long_failure_is_cut(client: Client) -> None:
    reply = client.ask(wire.AskInfo(path=b"x" * 4096))
    assert isinstance(reply, wire.Fault)
    assert 4000 < len(reply.message) <= 4096


# ── nonsense ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", [0, 2, 99, -1, "1", None, 1.5, [1]])
def test_another_protocol_is_said_to_be_one(client: Client, protocol: object) -> None:
    for message in ([protocol, 77, "AskRoots", {}], [protocol, 77], [protocol, 77, 1, 2, 3, 4, 5]):
        client.send(msgpack.packb(message))
        number, _, reply = client.receive()
        assert isinstance(reply, wire.Fault)
        assert (number, reply.exit_code) == (77, 5)
        assert "protocol" in reply.message


def bombs() -> list[bytes]:
    deep = [b"\x91" * depth + b"\x90" for depth in (500, 100_000)]
    maps = [b"\x81\xa1x" * depth + b"\x80" for depth in (500, 100_000)]
    claims = [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb" * 5,
    ]
    many = [
        b"\xdc\xff\xff" + b"\x80" * 65535,
        b"\x94\x01\x01\xa8AskRoots\xde\x10\x00"
        + b"".join(msgpack.packb([str(n), 0])[1:] for n in range(4096)),
        msgpack.packb([1, 1, "AskRoots", {"x": [{}] * 4000}] + [[{}] * 4000] * 200),
    ]
    extended = [msgpack.packb([1, 1, msgpack.ExtType(5, b"x" * 9), {}]), b"\xd7\xff" + bytes(8)]
    return deep + maps + claims + many + extended


def nonsense() -> list[bytes]:
    wrong = [
        [],
        [1],
        {},
        1,
        None,
        "x" * 100_000,
        [1, 1],
        [1, 1, "AskRoots"],
        [1, 1, "AskRoots", {}, 5],
        [1, -1, "AskRoots", {}],
        [1, 1 << 40, "AskRoots", {}],
        [1, float("inf"), "AskRoots", {}],
        [1, float("-inf"), "AskRoots", {}],
        [1, float("nan"), "AskRoots", {}],
        [1, "9" * 4000, "AskRoots", {}],
        [1, True, "AskRoots", {}],
        [1, b"\xff", "AskRoots", {}],
        [1, [1], "AskRoots", {}],
        [1, {"x": 1}, "AskRoots", {}],
        [1, 1, "Nothing", {}],
        [1, 1, "Request", {}],
        [1, 1, "Roots", {}],
        [1, 1, "__init__", {}],
        [1, 1, 5, {}],
        [1, 1, ["AskRoots"], {}],
        [1, 1, "AskRoots", []],
        [1, 1, "AskRoots", {"more": 1}],
        [1, 1, "AskRoots", {"self": 1}],
        [1, 1, "Search", {}],
        [1, 1, "Search", {"terms": [{"text": "x"}], "top": -1}],
        [1, 1, "Search", {"terms": [{"text": "x"}], "top": 1_000_000}],
        [1, 1, "Search", {"terms": [{"text": "x"}], "top": float("nan")}],
        [1, 1, "Search", {"terms": [{"text": "x", "weight": float("nan")}]}],
        [1, 1, "Search", {"terms": [{"text": "x"}], "timeout": float("inf")}],
        [1, 1, "Search", {"terms": [{"text": "x"}] * 65}],
        [1, 1, "Search", {"terms": [{"text": "x" * 5000}]}],
        [1, 1, "Add", {"paths": ["/text"]}],
        [1, 1, "AskInfo", {"path": b"x" * 5000}],
    ]
    return [msgpack.packb(message) for message in wrong]


def test_nonsense_is_answered_and_every_thread_outlives_it(client: Client) -> None:
    """Each kind more often than there are threads to answer it."""
    for frame in [*nonsense(), *bombs(), b"", b"\xc1", b"GET / HTTP/1.1\r\n\r\n"]:
        for _ in range(15):
            client.send(frame)
        for _ in range(15):
            _, more, reply = client.receive()
            assert isinstance(reply, wire.Fault), frame[:80]
            assert (more, reply.exit_code) in ((False, 2), (False, 4), (False, 5)), frame[:80]
    assert roots(client)


def test_random_frames_are_answered(client: Client) -> None:
    dice = random.Random(5)
    whole = wire.pack_request(
        wire.Search(terms=(wire.Term(text="red car"),), filter=wire.Filter(within=(b"/x",))), 9
    )
    for _ in range(2000):
        frame = bytearray(whole if dice.random() < 0.7 else dice.randbytes(dice.randint(0, 60)))
        for _ in range(dice.randint(1, 4)):
            if frame:
                frame[dice.randrange(len(frame))] = dice.randrange(256)
        with contextlib.suppress(Exception):
            if isinstance(wire.unpack_request(bytes(frame))[1], wire.Search | wire.Settle):
                continue  # sound by chance, and answered only when told
        client.send(bytes(frame))
        client.receive()
    assert roots(client)


@pytest.mark.parametrize("frames", [2, 3, 10_000])
def test_a_message_of_several_frames_is_answered_with_a_fault(client: Client, frames: int) -> None:
    request = wire.pack_request(wire.AskRoots(), 1)
    for message in ([request] * frames, [b""] * frames, [b"", request]):
        assert client.fault(*message).exit_code == 2
    assert roots(client)


# ── raw connections ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "data",
    [
        GREETING[:10] + b"\xff" * 200,
        GREETING + b"\x04\xff" + b"\x00" * 300,
    ],
    ids=["half greeting", "no READY"],
)
def test_who_does_not_speak_the_protocol_is_sent_away(
    client: Client, path: str, data: bytes
) -> None:
    assert is_closed(raw(path, data))
    assert roots(client)


@pytest.mark.parametrize("claim", [wire.MOST_REQUEST + 1, 20 << 30, (1 << 64) - 1])
def test_a_frame_that_claims_too_much_is_not_waited_for(
    client: Client, path: str, claim: int
) -> None:
    dealer = Dealer(path, _deadline())
    dealer._socket.sendall(b"\x02" + struct.pack(">Q", claim))
    with contextlib.suppress(ConnectionResetError):
        assert dealer._socket.recv(1) == b""
    dealer.close()
    assert roots(client)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 1000,
        b"\x16\x03\x01" + bytes(1000),
        b"\x01\x00" + b"\x05\x00AAAA" * 200,
    ],
    ids=["http", "tls", "ZMTP 1.0"],
)
def test_what_another_server_would_understand_harms_nobody(
    client: Client, new_client: Callable[[], Client], path: str, data: bytes
) -> None:
    """libzmq takes what does not greet for a peer of its first version, and its bytes for messages."""
    connections = [raw(path, data) for _ in range(30)]
    assert roots(client)
    assert roots(new_client())
    for connection in connections:
        connection.close()


def test_garbage_half_handshakes_and_vanishing_peers_harm_nobody(
    client: Client, path: str, answers: Answers
) -> None:
    dice = random.Random(7)
    asked = wire.pack_request(wire.Export(), 1)
    assert roots(client)
    before = descriptors()
    with contextlib.ExitStack() as held:
        for number in range(300):
            if number % 3 == 0:
                held.enter_context(raw(path, GREETING[: dice.randint(0, 63)]))
            raw(path, dice.randbytes(dice.randint(1, 300))).close()
            if number % 10 == 0:
                vanishing = Dealer(path, _deadline())
                vanishing.send(asked, _deadline())
                vanishing.close()
        assert roots(client)
    until(lambda: (roots(client), descriptors() <= before)[1], "the last connection to be closed")
    until(
        lambda: (roots(client), answers.left == answers.exports)[1], "the end of what nobody reads"
    )


def descriptors() -> int:
    """How many this process has open: the server's own, and the test's."""
    return len(os.listdir("/dev/fd"))


def test_the_clients_own_protocol_is_understood(server: Server, path: str) -> None:
    dealer = Dealer(path, _deadline())
    dealer.send(wire.pack_request(wire.AskRoots(), 5), _deadline())
    assert wire.unpack_reply(dealer.receive(_deadline(), wire.MOST_REPLY))[0] == 5
    dealer.close()


def _deadline() -> float:
    from time import monotonic

    return monotonic() + PATIENCE_S


def test_a_request_as_large_as_allowed_is_read(client: Client) -> None:
    picture = bytes(wire.MOST_PICTURE)
    wanted = wire.Search(terms=(wire.Term(picture=picture), wire.Term(text="x")), top=1)
    frame = wire.pack_request(wanted, 1)
    assert len(frame) <= wire.MOST_REQUEST
    client.send(frame.replace(b"Search", b"Scarch"))
    _, _, reply = client.receive()
    assert isinstance(reply, wire.Fault)
    assert "Scarch" in reply.message


# ── floods and slow readers ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["Search", "Settle"])
def test_a_flood_of_one_client_leaves_room_for_others(
    client: Client, new_client: Callable[[], Client], answers: Answers, kind: str
) -> None:
    search = wire.Search(terms=(wire.Term(text="x"),))
    request = search if kind == "Search" else wire.Settle(timeout=5.0)
    for number in range(500):
        client.send(wire.pack_request(request, number))
    until(lambda: answers.begun == AT_A_TIME, "as many as one client may have")
    other = new_client()
    assert roots(other)
    other.send(wire.pack_request(request, 9))
    until(lambda: answers.begun == AT_A_TIME + 1, "the other client's turn")
    answers.go.set()
    assert isinstance(other.receive()[2], wire.Settled)
    # The rest had to wait, and nothing is lost.
    assert {client.receive()[0] for _ in range(500)} == set(range(500))


def test_more_than_can_wait_is_refused(
    new_client: Callable[[], Client], answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = [new_client() for _ in range((SLOW_OF_ONE_PROCESS + MOST_WAITING) // AT_A_TIME + 1)]
    for client in asking:
        for number in range(AT_A_TIME):
            client.send(wire.pack_request(wire.Settle(timeout=5.0), number))
    until(lambda: any(client.socket.poll(0) for client in asking), "a refusal")
    refused = next(client for client in asking if client.socket.poll(0))
    reply = refused.receive()[2]
    assert isinstance(reply, wire.Fault)
    assert (reply.exit_code, "too many requests" in reply.message) == (4, True)
    assert roots(new_client())
    # Another process is not.
    monkeypatch.setattr(peer, "process_of", lambda connection: 1)
    other = new_client()
    other.send(wire.pack_request(wire.Settle(timeout=5.0), 1))
    assert roots(other)


@pytest.mark.parametrize(
    ("request_", "most"),
    [
        (wire.Search(terms=(wire.Term(text="x"),)), OF_ONE_PROCESS),
        (wire.Settle(timeout=5.0), SLOW_OF_ONE_PROCESS),
    ],
    ids=["Search", "Settle"],
)
def test_a_flood_over_many_connections_leaves_room_for_other_processes(
    server: Server,
    path: str,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    request_: wire.Request,
    most: int,
) -> None:
    frame = wire.pack_request(request_, 1)
    with contextlib.ExitStack() as stack:

        def asking() -> Dealer:
            dealer = stack.enter_context(contextlib.closing(Dealer(path, _deadline())))
            dealer.send(frame, _deadline())
            return dealer

        flood = [asking() for _ in range(2 * max(PATIENT_THREADS, SLOW_THREADS))]
        until(lambda: answers.begun == most, "as many as one process may have")
        monkeypatch.setattr(peer, "process_of", lambda connection: 1)
        other = asking()
        until(lambda: answers.begun == most + 1, "the other's turn")
        answers.go.set()
        for dealer in (other, *flood):
            assert wire.unpack_reply(dealer.receive(_deadline(), wire.MOST_REPLY))


def test_who_waits_for_the_index_keeps_nobody_from_searching(
    new_client: Callable[[], Client], answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each connection as another process.
    monkeypatch.setattr(peer, "process_of", lambda connection: 0)
    for _ in range(SLOW_THREADS):
        waiting = new_client()
        for number in range(AT_A_TIME):
            waiting.send(wire.pack_request(wire.Settle(timeout=5.0), number))
    until(lambda: answers.begun == SLOW_THREADS, "all that can wait")
    new_client().send(wire.pack_request(wire.Search(terms=(wire.Term(text="x"),)), 1))
    until(lambda: answers.begun == SLOW_THREADS + 1, "the search")


def test_who_searches_slowly_keeps_nobody_from_asking(
    new_client: Callable[[], Client], answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each connection as another process.
    monkeypatch.setattr(peer, "process_of", lambda connection: 0)
    for _ in range(PATIENT_THREADS):
        searching = new_client()
        for number in range(AT_A_TIME):
            request = wire.Search(terms=(wire.Term(text="x"),))
            searching.send(wire.pack_request(request, number))
    until(lambda: answers.begun == PATIENT_THREADS, "all that can search")
    assert roots(new_client())


def test_a_flood_that_nobody_reads_is_no_longer_listened_to(
    client: Client, path: str, answers: Answers
) -> None:
    asked = wire.pack_request(wire.Settle(timeout=5.0), 1)
    flood = Dealer(path, _deadline())
    flood._socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        pour(flood, framed(asked) * 200)
    assert roots(client)
    assert answers.begun == AT_A_TIME
    flood.close()
    answers.go.set()
    assert roots(client)


def pour(flood: Dealer, data: bytes) -> None:
    """Sends for as long as somebody takes it."""
    while True:
        flood._socket.sendall(data)


def test_a_slow_reader_of_a_long_answer_costs_little_and_gets_it_whole(
    client: Client, path: str, answers: Answers
) -> None:
    """200 replies of a megabyte: made only as they are read."""
    slow = Dealer(path, _deadline())
    slow.send(wire.pack_request(wire.Export(), 1), _deadline())
    made = -1
    while made != answers.made:
        # Time for the server to make as many as it ever will without a reader.
        made = answers.made
        for _ in range(50):
            assert roots(client)
    assert 0 < made < 40
    got, more = [], True
    while more:
        frame = slow.receive(_deadline(), wire.MOST_REPLY)
        _, more, reply = wire.unpack_reply(frame)
        assert isinstance(reply, wire.Vectors)
        got.append(reply.vectors[0].path)
    assert got == [b"%d" % number for number in range(200)]
    slow.close()


def test_an_answer_that_nobody_wants_any_more_is_not_made(
    client: Client, new_client: Callable[[], Client], answers: Answers
) -> None:
    client.send(wire.pack_request(wire.Export(), 1))
    client.receive()
    client.close()
    other = new_client()
    until(lambda: (roots(other), answers.left == 1)[1], "the end of the answer")
    assert answers.made < 200


def test_a_server_that_stops_sends_what_is_ready(path: str, answers: Answers) -> None:
    server = Server(path, answers)
    server.start()
    client = Client(path)
    client.send(wire.pack_request(wire.Settle(timeout=5.0), 1))
    until(lambda: answers.begun, "the request")
    answers.go.set()
    assert isinstance(client.receive()[2], wire.Settled)
    server.stop()
    assert not os.path.exists(path)
    client.close()


def test_who_is_hung_up_on_at_the_end_finds_nobody(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks again while the next daemon starts is to wait for that, and not to be hung up on twice."""
    hang_up, found = peer.Peer.close, []

    def seen(gone: peer.Peer) -> None:
        found.append(os.path.lexists(path))
        hang_up(gone)

    monkeypatch.setattr(peer.Peer, "close", seen)
    with serving(path, answers):
        clients = [Client(path) for _ in range(2)]
        assert all(map(roots, clients))
    assert found == [False, False]
    for client in clients:
        client.close()


def test_what_is_ready_leaves_whole_before_the_end(path: str, answers: Answers) -> None:
    """A megabyte, of which the system takes a part at a time."""
    server = Server(path, answers)
    server.start()
    dealer = Dealer(path, _deadline())
    dealer.send(wire.pack_request(wire.Export(), 1), _deadline())
    until(lambda: any(each.unread > 100_000 for each in server._crowd), "what does not fit")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(server.stop)
        frame = dealer.receive(_deadline(), wire.MOST_REPLY)
        assert isinstance(wire.unpack_reply(frame)[2], wire.Vectors)
        dealer.close()
        stopping.result(PATIENCE_S)
