"""A question to a daemon that is not there, silent, of another version, or gone in the middle."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

import peers
from imgq import client, listener, wire, zmtp
from imgq.errors import (
    Failure,
    NoDaemon,
    NotSettled,
    ProtocolMismatch,
    Refused,
    TimedOut,
    UsageError,
)
from imgq.paths import places

ROOTS = wire.Roots(roots=[wire.Root(path=b"/p", state="watching", files=1)])
TAKEN = [wire.Taken(files=number) for number in range(3)]
OTHER_PROTOCOL = msgpack.packb([99, 1, "of", "quite", "another", "form"])


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with peers.address() as path:
        monkeypatch.setenv("IMGQ_SOCKET", f"ipc://{path}")
        yield path


def fault(failure: Failure) -> bytes:
    return wire.pack_reply(
        wire.Fault(exit_code=failure.exit_code, message=failure.message, hint=failure.hint), 1
    )


def test_a_question_has_an_answer(path: str) -> None:
    with peers.answering(path, [wire.pack_reply(ROOTS, 1)]) as asked:
        assert client.ask(wire.AskRoots()) == ROOTS
    assert wire.unpack_request(asked[0]) == (1, wire.AskRoots())


def test_an_answer_may_come_in_pieces(path: str) -> None:
    frames = [wire.pack_reply(taken, 1, more=taken != TAKEN[-1]) for taken in TAKEN]
    with peers.answering(path, frames):
        assert list(client.stream(wire.Retry())) == TAKEN


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (NotSettled("m", "h"), NotSettled),
        (UsageError("m", "h"), UsageError),
        (TimedOut("m", "h"), TimedOut),
        (Refused("m", "h"), Refused),
        (ProtocolMismatch("m", "h"), ProtocolMismatch),
        (Failure("m", "h"), Failure),
    ],
)
def test_what_the_daemon_says_is_said_again(
    path: str, failure: Failure, kind: type[Failure]
) -> None:
    with peers.answering(path, [fault(failure)]), pytest.raises(Failure) as caught:
        client.ask(wire.AskRoots())
    assert type(caught.value) is kind
    assert (caught.value.exit_code, caught.value.message, caught.value.hint) == (
        failure.exit_code,
        "m",
        "h",
    )


def test_a_failure_in_the_middle_follows_the_pieces_before_it(path: str) -> None:
    frames = [wire.pack_reply(TAKEN[0], 1, more=True), fault(Refused("no more"))]
    with peers.answering(path, frames):
        pieces = client.stream(wire.Retry())
        assert next(pieces) == TAKEN[0]
        with pytest.raises(Refused, match="no more"):
            next(pieces)


def test_nobody_is_there(path: str) -> None:
    with pytest.raises(NoDaemon, match="no daemon is running") as caught:
        client.ask(wire.AskRoots())
    assert caught.value.exit_code == 3
    assert not client.answers()


def test_a_killed_daemon_left_its_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    with pytest.raises(NoDaemon, match="no daemon is running"):
        client.ask(wire.AskRoots())


@pytest.mark.parametrize("greets", [False, True])
def test_who_is_silent_is_given_up(path: str, greets: bool) -> None:
    silent = peers.router(path) if greets else peers.listening(path, peers.until_closed)
    with silent, pytest.raises(TimedOut, match=r"did not answer within 0\.05 s") as caught:
        client.ask(wire.AskRoots(), 0.05)
    assert caught.value.exit_code == 3


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a daemon of this home would listen."""
    monkeypatch.delenv("IMGQ_SOCKET", raising=False)
    monkeypatch.setattr(zmtp, "GREETS_S", 0.05)
    with tempfile.TemporaryDirectory(prefix="imgq-", dir="/tmp") as home:
        monkeypatch.setenv("IMGQ_HOME", home)
        os.mkdir(places().runtime, 0o700)
        yield places().socket


@pytest.mark.parametrize("said", [b"", b"\xff\0\0"])
def test_what_else_listens_there_is_told_before_the_time_is_out(own: str, said: bytes) -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(said)
        peers.until_closed(connection)

    with peers.listening(own, say), pytest.raises(NoDaemon, match="something else") as caught:
        client.ask(wire.AskRoots(), peers.PATIENCE_S)
    assert not isinstance(caught.value, TimedOut)
    assert f"process {os.getpid()})" in caught.value.message


@pytest.mark.parametrize("who", ["a daemon", "a service manager"])
def test_who_is_about_to_greet_is_waited_for(
    own: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """As one that starts, is stopped, or is started by whoever holds its socket."""
    with open(places().lock, "wb") as lock, peers.listening(own, peers.until_closed):
        if who == "a daemon":
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            monkeypatch.setattr(listener, "name", lambda _: "systemd")
        with pytest.raises(TimedOut, match=r"did not answer within 0\.2 s"):
            client.ask(wire.AskRoots(), 0.2)


def test_who_goes_in_the_middle_is_missed(path: str) -> None:
    frames = [wire.pack_reply(TAKEN[0], 1, more=True)]
    with peers.answering(path, frames):
        pieces = client.stream(wire.Retry())
        assert next(pieces) == TAKEN[0]
    with pytest.raises(NoDaemon, match="went away"):
        next(pieces)


def test_who_speaks_no_zmtp_is_no_daemon(path: str) -> None:
    def refuse(connection: socket.socket) -> None:
        # Who closes before it has read all is noticed by another error.
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400\r\n")

    with (
        peers.listening(path, refuse),
        pytest.raises(NoDaemon, match="does not speak ZMTP"),
    ):
        client.ask(wire.AskRoots())


@pytest.mark.parametrize(
    ("times", "told"), [(2, "hangs up before it says a word"), (1, "no daemon is")]
)
def test_who_hangs_up_at_once_is_asked_twice(own: str, times: int, told: str) -> None:
    """One that ends just then is gone the second time."""

    def refuse() -> None:
        for _ in range(times):
            with listener.accept()[0] as connection:
                connection.recv(1024)
                if times == 1:
                    listener.close()

    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(own)
        listener.listen()
        served = pool.submit(refuse)
        with pytest.raises(NoDaemon, match=told):
            client.ask(wire.AskRoots())
        served.result()


def test_who_may_not_ask_is_told_what_says_where(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `su`, which keeps XDG_RUNTIME_DIR."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(client, "Dealer", refuse)
    with pytest.raises(NoDaemon, match="Permission denied") as caught:
        client.ask(wire.AskRoots())
    assert "XDG_RUNTIME_DIR" in caught.value.hint


@pytest.mark.parametrize("reply", [OTHER_PROTOCOL, b"nonsense", b"", b"\x80"])
def test_another_protocol_is_told(path: str, reply: bytes) -> None:
    with peers.answering(path, [reply]), pytest.raises(ProtocolMismatch, match="imgq") as caught:
        client.ask(wire.AskRoots())
    assert caught.value.exit_code == 5


def test_settling_in_time_is_silent_and_too_late_is_a_failure(path: str) -> None:
    with peers.answering(path, [wire.pack_reply(wire.Settled(settled=True, pending=0), 1)]):
        client.settle(5)
    with (
        peers.answering(path, [wire.pack_reply(wire.Settled(settled=False, pending=3), 1)]),
        pytest.raises(NotSettled, match=r"not settled within 0 s: 3 files are pending"),
    ):
        client.settle(0)


def test_pictures_that_are_too_much_together_are_not_sent(path: str) -> None:
    picture = wire.Term(picture=bytes(33 << 20))
    with pytest.raises(UsageError, match="66 MiB, 65 is the most"):
        client.ask(wire.Search(terms=[picture, picture]))


@pytest.mark.parametrize("address", ["udp://127.0.0.1:9", "/run/socket", "nonsense"])
def test_an_address_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("IMGQ_SOCKET", address)
    with pytest.raises(UsageError, match=f"{address} is no address"):
        client.ask(wire.AskRoots())


@pytest.mark.parametrize("place", ["/dev/null/socket", "/" + "x" * 200])
def test_a_place_where_no_socket_can_be(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("IMGQ_SOCKET", f"ipc://{place}")
    with pytest.raises(NoDaemon):
        client.ask(wire.AskRoots())


def test_an_interrupt_ends_the_wait(path: str) -> None:
    command = [sys.executable, "-m", "imgq", "red"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with subprocess.Popen(command, stderr=subprocess.PIPE) as asking:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                asking.send_signal(signal.SIGINT)
                _, words = asking.communicate(timeout=peers.PATIENCE_S)
    assert (asking.returncode, words) == (130, b"")
