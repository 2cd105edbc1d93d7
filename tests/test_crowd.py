"""Who is let in, who must go, and what a client may cost: each bound drawn close, and leant on."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from conftest import until
from imgq import wire
from imgq.zmtp import Dealer
from imgqd.serve import crowd, newcomers, peer, server
from imgqd.serve.lanes import SLOW_OF_ONE_PROCESS
from imgqd.serve.line import AT_A_TIME
from imgqd.serve.zmtp import framed
from served import GREETING, PATIENCE_S, Answers, Client, is_closed, place, raw, roots, serving

CLIENT_READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"

NewDealer = Callable[[], Dealer]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return place(tmp_path)


@pytest.fixture
def new_dealer(path: str) -> Iterator[NewDealer]:
    with contextlib.ExitStack() as stack:

        def new() -> Dealer:
            return stack.enter_context(contextlib.closing(Dealer(path, soon())))

        yield new


def soon() -> float:
    return monotonic() + PATIENCE_S


def asked(dealer: Dealer) -> bool:
    """Whether it is answered."""
    dealer.send(wire.pack_request(wire.AskRoots(), 1), soon())
    _, _, reply = wire.unpack_reply(dealer.receive(soon(), wire.MOST_REPLY))
    return isinstance(reply, wire.Roots)


def is_gone(dealer: Dealer) -> bool:
    """Whether the server has closed the connection, looked at without waiting."""
    ready, _, _ = select.select([dealer._socket], [], [], 0)
    return bool(ready) and dealer._socket.recv(1, socket.MSG_PEEK) == b""


def test_where_it_is_full_the_longest_idle_makes_room(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_PEERS", 4)
    with serving(path, answers):
        first, *others = [new_dealer() for _ in range(4)]
        assert asked(first)
        assert asked(new_dealer())
        assert [is_gone(each) for each in others] == [True, False, False]
        for _ in range(20):
            assert asked(new_dealer())
        assert is_gone(first)


def test_where_it_is_full_of_work_who_comes_waits_outside(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_PEERS", 3)
    with serving(path, answers):
        busy = [new_dealer() for _ in range(3)]
        for each in busy:
            each.send(wire.pack_request(wire.Settle(timeout=5), 1), soon())
        until(lambda: answers.begun == 3, "all of them to be busy")
        with pytest.raises(TimeoutError):
            Dealer(path, monotonic() + 0.2)
        answers.go.set()
        assert asked(new_dealer())
        assert not any(map(is_gone, busy[1:]))


def test_who_comes_ever_again_waits_behind_other_processes_and_is_answered(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "MOST_OWED", 3)
    monkeypatch.setattr(newcomers, "FORGIVEN_A_S", 0.0)
    monkeypatch.setattr(server, "MOST_PEERS", 10)
    with serving(path, answers) as serves, contextlib.ExitStack() as stack:
        (entrance,) = serves._crowd._entrances
        # Nobody who waits is attended to meanwhile.
        monkeypatch.setattr(newcomers.Newcomers, "next", lambda self: iter(()))
        for _ in range(10):
            with contextlib.closing(Dealer(path, soon())) as staying:
                assert asked(staying)
        many = [stack.enter_context(raw(path, GREETING)) for _ in range(30)]
        until(lambda: len(entrance.newcomers) == 7, "as many to wait as there is room for")
        assert all(map(is_closed, many[3:23]))
        monkeypatch.setattr(entrance, "most", 11)
        monkeypatch.setattr(crowd, "process_of", lambda connection: 1)
        with contextlib.closing(Dealer(path, soon())) as other:
            assert asked(other)
        until(lambda: len(entrance.peers) == 3, "the other to be gone")
        monkeypatch.undo()
        until(lambda: len(entrance.newcomers) == 0, "the turn of those who waited")
        assert all(each.recv(1) for each in many[23:])


def test_who_comes_is_let_in_again_when_descriptors_are_there_again(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(path, answers) as serves:
        refusals = iter([OSError(24, "Too many open files")] * 3)
        accept = serves._door.accept

        class Scarce:
            """A door that has no descriptor for the first who come."""

            fileno = serves._door.fileno

            def accept(self) -> object:
                for refusal in refusals:
                    raise refusal
                return accept()

        monkeypatch.setattr(serves._crowd._entrances[0], "door", Scarce())
        assert asked(new_dealer())
        assert next(refusals, None) is None
        monkeypatch.undo()


@pytest.mark.parametrize("said", [b"", GREETING[:1], GREETING[:63], GREETING])
def test_who_does_not_greet_in_time_is_sent_away(
    path: str, answers: Answers, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "GREETING_S", 0.1)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    with serving(path, answers):
        assert is_closed(raw(path, said))


def test_who_has_greeted_may_be_silent_for_ever(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("GREETING_S", "REQUEST_S", "UNREAD_S"):
        monkeypatch.setattr(peer, bound, 0.1)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    with serving(path, answers):
        silent = new_dealer()
        # Who comes later is sent away, and so would the first have been.
        assert is_closed(raw(path, b""))
        assert is_closed(raw(path, b""))
        assert asked(silent)


@pytest.mark.parametrize("size", [300, 1 << 20])
def test_a_request_that_does_not_come_whole_in_time_is_not_waited_for(
    path: str, answers: Answers, new_dealer: NewDealer, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "REQUEST_S", 0.1)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    with serving(path, answers):
        slow, other = new_dealer(), new_dealer()
        slow._socket.sendall(framed(bytes(size))[:200])
        until(lambda: is_gone(slow), "the end of it")
        assert asked(other)


def test_who_reads_nothing_is_given_up_at_last(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "UNREAD_S", 0.1)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    with serving(path, answers):
        slow = new_dealer()
        slow.send(wire.pack_request(wire.Export(), 1), soon())
        until(lambda: answers.left == 1, "the end of its answer")
        assert asked(new_dealer())


def test_what_nobody_reads_is_bounded_for_all_together(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "MOST_UNREAD", 5 << 20)
    monkeypatch.setattr(server, "MOST_UNREAD_OF_ONE", 1 << 30)
    monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
    with serving(path, answers) as serves:
        slow = [new_dealer() for _ in range(12)]
        for each in slow:
            each.send(wire.pack_request(wire.Export(), 1), soon())
        until(lambda: answers.exports == 12, "all of them to be answered")
        until(lambda: answers.left >= 6, "the end of some of the answers")
        until(lambda: sum(each.unread for each in serves._crowd) <= 5 << 20, "less to be unread")
        assert asked(new_dealer())
        assert 12 - answers.left >= 3


def test_nothing_more_is_made_for_who_does_not_read_over_however_many_connections(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_UNREAD_OF_ONE", 1 << 20)
    processes = iter([7, 8, *[7] * 5])
    monkeypatch.setattr(peer, "process_of", lambda _: next(processes))
    with serving(path, answers):
        slow, other = new_dealer(), new_dealer()
        slow.send(wire.pack_request(wire.Export(), 1), soon())
        until(lambda: answers.made == 2, "a reply that waits, and the next")
        for each in [new_dealer() for _ in range(5)]:
            each.send(wire.pack_request(wire.Export(), 1), soon())
        # In the same lane, after those.
        assert all(asked(other) for _ in range(20))
        assert answers.exports == 1
        slow.close()
        until(lambda: answers.exports > 1, "another to have its turn")


def test_who_pings_and_does_not_read_is_not_listened_to(
    path: str, answers: Answers, new_dealer: NewDealer
) -> None:
    with serving(path, answers) as serves:
        pinging, other = new_dealer(), new_dealer()
        pinging._socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ping(pinging)
        assert asked(other)
        assert max(each.unread for each in serves._crowd) < 5 << 20


def ping(dealer: Dealer) -> None:
    while True:
        dealer._socket.sendall(b"\x04\x17\x04PING\x00\x00" + bytes(16))


def test_large_requests_come_one_after_the_other_where_there_is_no_room_for_both(
    path: str, answers: Answers, new_dealer: NewDealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_HELD", 3 << 20)
    large = wire.pack_request(wire.Search(terms=(wire.Term(picture=bytes(2 << 20)),)), 1)
    with serving(path, answers) as serves:
        one, two, small = new_dealer(), new_dealer(), new_dealer()
        one.send(large, soon())
        until(lambda: answers.begun == 1, "the first")
        two._socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            two._socket.sendall(framed(large))
        assert asked(small)
        assert sum(each.line.held + each.granted for each in serves._crowd) < 3 << 20
        answers.go.set()
        one.receive(soon(), wire.MOST_REPLY)
        assert asked(one)


@contextlib.contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as door:
        door.bind(path)
        door.listen(100)
        door.setblocking(False)
        yield door


def test_who_has_gone_before_it_is_attended_to_is_not_let_in(path: str) -> None:
    said = GREETING + CLIENT_READY + framed(wire.pack_request(wire.AskRoots(), 1))
    met: list[socket.socket] = []
    with listening(path) as door:
        for _ in range(50):
            raw(path, said).close()
        with raw(path, said):
            crowding = crowd.Crowd(lambda *_: None)
            # None of them is one that may stay.
            crowding.enter_by(crowd.Entrance(door, 9, met.append))
            for _ in range(51):
                crowding.turn(0)
            crowding.close()
    assert len(met) == 1


def fill(path: str, stack: contextlib.ExitStack) -> int:
    """How many come before the system turns one away."""
    for number in range(100):
        connection = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        connection.setblocking(False)
        if connection.connect_ex(path):
            return number
    return 100


def test_while_many_come_and_go_few_may_wait_outside(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_MOST_UNWELCOME", 40)
    monkeypatch.setattr(crowd, "_SWEEP_S", 1e9)
    with listening(path) as door, contextlib.ExitStack() as stack:
        crowding = crowd.Crowd(lambda *_: None)
        entrance = crowd.Entrance(door, 100, lambda connection: None, line=60)
        crowding.enter_by(entrance)
        crowding.turn(0)
        for many, is_flood in ((30, False), (60, True)):
            for _ in range(many):
                raw(path, b"x").close()
            until(lambda: crowding.turn(0) or not waiting(door), "all of them to be seen")
            assert entrance.is_flooded == is_flood
        assert fill(path, stack) <= crowd._SHORT_LINE + 1
        monkeypatch.setattr(crowd, "_SWEEP_S", 0.05)
        crowding._next_sweep = 0.0
        until(lambda: crowding.turn(0) or not entrance.is_flooded, "the end of the flood")
        stack.close()
        until(lambda: crowding.turn(0) or not waiting(door), "the last of them to be seen")
        assert fill(path, stack) > 50
        crowding.close()


def waiting(door: socket.socket) -> bool:
    return bool(select.select([door], [], [], 0)[0])


def test_a_flood_leaves_time_to_others(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in is attended to, and nobody is let in, for some of the time."""
    monkeypatch.setattr(crowd, "_MOST_UNWELCOME", 0)
    monkeypatch.setattr(crowd, "_RESTS", 1e9)
    monkeypatch.setattr(crowd, "_SWEEP_S", 1e9)
    heard: list[int] = []
    here, there = socket.socketpair()
    with listening(path) as door, here, there:
        crowding = crowd.Crowd(lambda *_: None)
        entrance = crowd.Entrance(door, 100, lambda connection: None)
        crowding.enter_by(entrance)
        crowding.watch(there.fileno(), heard.append)
        crowding.turn(0)
        for _ in range(2 * crowd._MOST_AT_A_TIME):
            raw(path, b"x").close()
        here.sendall(b"!")
        for _ in range(10):
            crowding.turn(0)
        assert len(heard) == 10
        assert entrance.unwelcome == crowd._MOST_AT_A_TIME
        entrance.rests_until = monotonic()
        for _ in range(2):
            crowding.turn(0)
        assert entrance.unwelcome == 2 * crowd._MOST_AT_A_TIME
        crowding.close()


def test_who_goes_takes_along_what_it_asked(
    path: str, answers: Answers, new_dealer: NewDealer
) -> None:
    """What waits for its turn, and what waits for a thread."""
    settle = wire.pack_request(wire.Settle(timeout=5), 1)
    with serving(path, answers) as serves:
        staying = [new_dealer() for _ in range(SLOW_OF_ONE_PROCESS)]
        for each in staying:
            each.send(settle, soon())
        until(lambda: answers.begun == SLOW_OF_ONE_PROCESS, "all that can be answered at a time")
        going = new_dealer()
        for _ in range(AT_A_TIME + 3):
            going.send(settle, soon())
        until(lambda: max(each.line.under_way for each in serves._crowd) == AT_A_TIME, "its turn")
        going.close()
        until(lambda: len(list(serves._crowd)) == SLOW_OF_ONE_PROCESS, "its end")
        answers.go.set()
        for each in staying:
            each.receive(soon(), wire.MOST_REPLY)
        assert asked(staying[0])
        assert answers.begun == SLOW_OF_ONE_PROCESS


def test_time_in_which_it_is_not_listened_to_is_not_its_own() -> None:
    here, there = socket.socketpair()
    with here, contextlib.closing(there):
        client = peer.Peer(there)
        here.sendall(GREETING + CLIENT_READY + framed(bytes(300))[:100])
        client.hear()
        assert client.message() is None
        assert list(client.flush())
        due = client.due
        client.hold_up(True)
        assert client.due == math.inf
        client.hold_up(False)
        assert due < client.due < math.inf


def test_who_has_hung_up_is_known_before_that_is_heard() -> None:
    here, there = socket.socketpair()
    with here, contextlib.closing(there):
        client = peer.Peer(there)
        assert not client.has_hung_up
        here.sendall(GREETING)
        client.hear()
        assert not client.has_hung_up
        here.close()
        assert client.has_hung_up
    assert client.has_hung_up


def test_another_user_is_not_let_in(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crowd, "uid_of", lambda connection: os.getuid() + 1)
    with serving(path, answers):
        assert is_closed(raw(path, GREETING))
    assert "another user" in caplog.text


def test_the_user_at_the_other_end_is_who_the_kernel_says() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert peer.uid_of(here) == os.getuid()


def test_a_bug_at_one_client_ends_that_one_alone(
    path: str, answers: Answers, new_dealer: NewDealer, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(path, answers) as serves:
        other = new_dealer()
        (spared,) = serves._crowd
        unlucky = new_dealer()
        (broken,) = set(serves._crowd) - {spared}
        broken.line.join = None  # type: ignore[assignment, method-assign]
        unlucky.send(b"?", soon())
        until(lambda: is_gone(unlucky), "its end")
        assert asked(other)
    assert "this is a bug" in caplog.text


def test_at_rest_it_sleeps(path: str, answers: Answers, new_dealer: NewDealer) -> None:
    with serving(path, answers) as serves:
        client = Client(path)
        assert roots(client)
        until(lambda: not serves._crowd._expects, "nothing to be expected")
        client.close()
