"""A real server on a real socket: what is asked of it, what is thrown at it, and who may come in."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from conftest import until
from imgq import wire
from imgq.errors import CannotStart, Refused
from imgq.zmtp import Dealer
from imgqd.serve import door
from imgqd.serve.server import MOST_OF_ONE_PEER, PATIENT_THREADS, SETTLING_THREADS, Server

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


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A socket's path is short, and pytest's folders are not always."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return os.fspath(folder / "socket")


@pytest.fixture
def server(path: str, answers: Answers) -> Iterator[Server]:
    server = Server(path, answers)
    server.start()
    yield server
    answers.go.set()
    server.stop()


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


def roots(client: Client) -> bool:
    return isinstance(client.ask(wire.AskRoots(), 7), wire.Roots)


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
    whole = wire.pack_request(wire.Search(terms=(wire.Term(text="red car"),), within=(b"/x",)), 9)
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
def test_a_message_of_several_frames_is_ignored(
    client: Client, new_client: Callable[[], Client], frames: int
) -> None:
    request = wire.pack_request(wire.AskRoots(), 1)
    client.send(*[request] * frames)
    client.send(*[b""] * frames)
    client.send(b"", request)
    assert roots(client)
    assert roots(new_client())


# ── raw connections ─────────────────────────────────────────────────────────────────────────────────


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
        if number >= MOST_OF_ONE_PEER:
            # Those that are one too many are refused at once.
            assert isinstance(client.receive()[2], wire.Fault)
    until(lambda: answers.begun == MOST_OF_ONE_PEER, "as many as one client may have")
    other = new_client()
    assert roots(other)
    other.send(wire.pack_request(request, 9))
    until(lambda: answers.begun == MOST_OF_ONE_PEER + 1, "the other client's turn")
    answers.go.set()
    assert isinstance(other.receive()[2], wire.Settled)
    assert {client.receive()[0] for _ in range(MOST_OF_ONE_PEER)} == set(range(MOST_OF_ONE_PEER))
    assert isinstance(client.ask(request, 1000), wire.Settled)


def test_who_waits_for_the_index_keeps_nobody_from_searching(
    new_client: Callable[[], Client], answers: Answers
) -> None:
    for _ in range(4):
        waiting = new_client()
        for number in range(MOST_OF_ONE_PEER):
            waiting.send(wire.pack_request(wire.Settle(timeout=5.0), number))
    until(lambda: answers.begun == SETTLING_THREADS, "all that can wait")
    new_client().send(wire.pack_request(wire.Search(terms=(wire.Term(text="x"),)), 1))
    until(lambda: answers.begun == SETTLING_THREADS + 1, "the search")


def test_who_searches_slowly_keeps_nobody_from_asking(
    new_client: Callable[[], Client], answers: Answers
) -> None:
    for _ in range(4):
        searching = new_client()
        for number in range(MOST_OF_ONE_PEER):
            request = wire.Search(terms=(wire.Term(text="x"),))
            searching.send(wire.pack_request(request, number))
    until(lambda: answers.begun == PATIENT_THREADS, "all that can search")
    assert roots(new_client())


def test_a_flood_that_nobody_reads_is_no_longer_answered(
    server: Server, client: Client, path: str, answers: Answers
) -> None:
    asked = wire.pack_request(wire.Settle(timeout=5.0), 1)
    flood = Dealer(path, _deadline())
    frame = b"\x00" + bytes((len(asked),)) + asked
    for _ in range(100):
        flood._socket.sendall(frame * 200)
    assert roots(client)
    assert len(server._stalled) <= 100
    flood.close()
    answers.go.set()
    until(lambda: (roots(client), not server._stalled)[1], "the flood to be forgotten")
    until(lambda: (roots(client), len(server._under_way) <= 1)[1], "the peer to be forgotten")


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
    server: Server, client: Client, new_client: Callable[[], Client], answers: Answers
) -> None:
    client.send(wire.pack_request(wire.Export(), 1))
    client.receive()
    client.close()
    other = new_client()
    until(lambda: (roots(other), answers.left == 1)[1], "the end of the answer")
    assert answers.made < 200
    until(lambda: (roots(other), len(server._under_way) <= 1)[1], "the peer to be forgotten")


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


# ── the door ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_socket_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, answers: Answers, umask: int
) -> None:
    path = os.fspath(tmp_path / "run" / "socket")
    before = os.umask(umask)
    try:
        with door.locked(os.fspath(tmp_path / "run" / "lock")):
            server = Server(path, answers)
            server.start()
            assert stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0
            assert stat.S_IMODE(os.lstat(tmp_path / "run").st_mode) == 0o700
            assert stat.S_IMODE(os.lstat(tmp_path / "run" / "lock").st_mode) == 0o600
            server.stop()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_a_socket_that_a_killed_daemon_left_is_taken_over(path: str, answers: Answers) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    server = Server(path, answers)
    server.start()
    client = Client(path)
    assert roots(client)
    client.close()
    server.stop()


@pytest.mark.parametrize("what", ["file", "link to a file", "link to a socket", "folder"])
def test_what_else_lies_there_is_refused_and_not_touched(
    path: str, answers: Answers, tmp_path: Path, what: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("a novel")
    if what == "file":
        Path(path).write_text("a novel")
    elif what == "folder":
        Path(path).mkdir()
    elif what == "link to a file":
        os.symlink(precious, path)
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(tmp_path / "other"))
        os.symlink(tmp_path / "other", path)
    before = os.lstat(path)
    with pytest.raises(CannotStart, match="in the way"):
        Server(path, answers).start()
    assert os.lstat(path) == before
    assert precious.read_text() == "a novel"


def test_a_socket_of_somebody_else_is_refused(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
    monkeypatch.setattr(door.os, "getuid", lambda: os.stat(path).st_uid + 1)
    with pytest.raises(CannotStart, match="not a socket of this user"):
        Server(path, answers).start()
    assert os.path.exists(path)


def test_a_path_that_cannot_be_bound_is_said_to_be(tmp_path: Path, answers: Answers) -> None:
    with pytest.raises(CannotStart, match="nothing can be bound"):
        Server(os.fspath(tmp_path / ("x" * 120)), answers).start()


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o722])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CannotStart, match="not a private folder"):
        door.lock(os.fspath(folder / "lock"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    if what == "file":
        (tmp_path / "run").touch(mode=0o600)
    else:
        (tmp_path / "run").symlink_to("there")
    with pytest.raises(CannotStart, match="not a private folder"):
        door.lock(os.fspath(tmp_path / "run" / "lock"))


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(door.os, "getuid", lambda: os.stat(folder).st_uid + 1)
    with pytest.raises(CannotStart, match="not a private folder"):
        door.lock(os.fspath(folder / "lock"))


@pytest.mark.parametrize("what", ["a link at the lock", "a file above"])
def test_a_lock_that_cannot_be_had_is_said_to_be(tmp_path: Path, what: str) -> None:
    if what == "a file above":
        (tmp_path / "home").touch()
        path = tmp_path / "home" / "run" / "lock"
    else:
        path = tmp_path / "run" / "lock"
        path.parent.mkdir(mode=0o700)
        path.symlink_to(tmp_path / "precious")
    with pytest.raises(CannotStart, match="cannot be had"):
        door.lock(os.fspath(path))
    assert not (tmp_path / "precious").exists()


def test_a_second_lock_is_refused_and_names_who_has_the_first(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "run" / "lock")
    ask = (
        "import sys; from imgqd.serve import door; from imgq.errors import Failure\n"
        "try: door.lock(sys.argv[1])\n"
        "except Failure as failure: print(failure.exit_code, failure.message)"
    )
    with door.locked(path):
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", ask, path], capture_output=True, text=True, check=True
            )
            assert done.stdout.split()[0] == "4"
            assert f"pid {os.getpid()}" in done.stdout
    with door.locked(path):
        pass


HANDED_OVER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from imgq import wire
from imgqd.serve.server import Server
server = Server(sys.argv[1], lambda request: iter([wire.Roots(roots=())]))
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
# A daemon that starts anew finds it where it was.
os.fstat(3)
"""


def test_a_listening_socket_that_is_handed_over_is_used_and_left(path: str) -> None:
    """As systemd's socket units do it: descriptor 3, and who waits on it is answered."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(16)
        waiting = Client(path)
        waiting.send(wire.pack_request(wire.AskRoots(), 1))
        inode = os.lstat(path).st_ino

        def hand_over() -> None:
            os.dup2(listening.fileno(), 3)

        child = subprocess.Popen(
            [sys.executable, "-c", HANDED_OVER, path],
            env=os.environ | {"LISTEN_FDS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(3,),
            preexec_fn=hand_over,
        )
        assert isinstance(waiting.receive()[2], wire.Roots)
        assert os.lstat(path).st_ino == inode
        child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0
        assert os.lstat(path).st_ino == inode
        waiting.close()


def test_a_descriptor_handed_to_another_process_is_not_ours(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    server = Server(path, answers)
    server.start()
    client = Client(path)
    assert roots(client)
    client.close()
    server.stop()
