"""Messages between the daemon and its children, over real sockets."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

import msgpack
import pytest

from conftest import until
from imgqd import channel as module
from imgqd import patience
from imgqd.channel import MOST_BYTES, MOST_DESCRIPTORS, Channel, ChannelClosed, NoMessage

PATIENCE_S = 30.0
Ends = tuple[Channel, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A channel, and the bare socket at its other end."""
    ours, theirs = Channel.pair()
    channel = Channel(ours)
    with theirs:
        yield channel, theirs
    channel.close()


def pair() -> tuple[Channel, Channel]:
    """The daemon's end, and a child's."""
    ours, theirs = Channel.pair()
    return Channel(ours), Channel.inherited(theirs.detach())


def framed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_message_comes_as_it_went() -> None:
    ours, theirs = map(Channel, Channel.pair())
    messages = [{"a": 1, "b": [1.5, None, b"\x00\xff", "é"]}, {}, {"long": b"x" * 1_000_000}]
    sender = threading.Thread(target=lambda: [ours.send(message) for message in messages])
    sender.start()
    assert [theirs.receive(PATIENCE_S) for _ in messages] == [(each, []) for each in messages]
    sender.join()
    ours.close()
    theirs.close()


def test_a_descriptor_comes_with_its_message() -> None:
    ours, theirs = pair()
    reading, writing = os.pipe()
    ours.send({"take": "this"}, reading)
    ours.send({"take": "nothing"})
    message, (copy,) = theirs.receive(PATIENCE_S)
    assert message == {"take": "this"}
    assert theirs.receive(PATIENCE_S) == ({"take": "nothing"}, [])
    os.write(writing, b"yes")
    assert os.read(copy, 3) == b"yes"
    assert not os.get_inheritable(copy)
    for descriptor in (reading, writing, copy):
        os.close(descriptor)
    ours.close()
    theirs.close()


def test_several_descriptors_come_in_their_order() -> None:
    ours, theirs = pair()
    pipes = [os.pipe() for _ in range(MOST_DESCRIPTORS)]
    ours.send({"take": "these"}, *(reading for reading, _ in pipes))
    message, copies = theirs.receive(PATIENCE_S)
    assert message == {"take": "these"}
    for number, (_, writing) in enumerate(pipes):
        os.write(writing, bytes([number]))
    assert [os.read(copy, 1) for copy in copies] == [bytes([n]) for n in range(MOST_DESCRIPTORS)]
    for descriptor in (*copies, *(each for pipe in pipes for each in pipe)):
        os.close(descriptor)
    ours.close()
    theirs.close()


def test_a_message_in_pieces_is_one_message(ends: Ends) -> None:
    channel, other = ends
    data = framed(msgpack.packb({"a": "b" * 50}))

    def drip() -> None:
        for position in range(len(data)):
            other.sendall(data[position : position + 1])

    sender = threading.Thread(target=drip)
    sender.start()
    assert channel.receive(PATIENCE_S) == ({"a": "b" * 50}, [])
    sender.join()


def test_silence_is_a_timeout_and_the_channel_goes_on(ends: Ends) -> None:
    channel, other = ends
    with pytest.raises(TimeoutError):
        channel.receive(0.01)
    other.sendall(framed(msgpack.packb({"late": True})))
    assert channel.receive(PATIENCE_S) == ({"late": True}, [])


def test_what_is_there_is_read_without_patience(ends: Ends) -> None:
    channel, other = ends
    with pytest.raises(TimeoutError):
        channel.receive(0.0)
    other.sendall(framed(msgpack.packb({"a": "b" * 50})))
    assert channel.receive(0.0) == ({"a": "b" * 50}, [])


def test_a_byte_now_and_then_does_not_prolong_the_time(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever took a decoder over could hold the daemon for as long as it likes."""
    channel, other = ends
    now, drops = 0.0, iter(framed(bytes(1000)))

    class Dripping:
        """A byte comes with each wait, and none is there already."""

        def register(self, *_: object) -> None:
            pass

        def poll(self, milliseconds: float) -> list[object]:
            nonlocal now
            now += milliseconds / 1000
            return [other.send(bytes([next(drops)]))] if milliseconds else []

    monkeypatch.setattr(patience.time, "monotonic", lambda: now)
    monkeypatch.setattr(module.select, "poll", Dripping)
    with pytest.raises(TimeoutError):
        channel.receive(10.0)
    assert now == 10.0


def test_nor_does_one_that_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen million each is to be had without a wait."""
    now = 0.0

    class Dribbling:
        """Takes a millisecond for a byte."""

        def setblocking(self, _: bool) -> None:
            pass

        def fileno(self) -> int:
            return reading

        def recvmsg(self, *_: int) -> tuple[bytes, list[object], int, None]:
            return struct.pack("<I", MOST_BYTES), [], 0, None

        def recv(self, _: int) -> bytes:
            nonlocal now
            now += 0.001
            assert now < 60.0
            return b"x"

    monkeypatch.setattr(patience.time, "monotonic", lambda: now)
    reading, writing = os.pipe()
    try:
        os.write(writing, b"x")
        with pytest.raises(TimeoutError):
            Channel(Dribbling()).receive(10.0)  # type: ignore[arg-type]
    finally:
        os.close(reading)
        os.close(writing)
    assert 10.0 <= now < 10.1


@pytest.mark.parametrize("claimed", [MOST_BYTES + 1, 2**32 - 1])
def test_a_length_that_no_message_has_is_not_waited_for(ends: Ends, claimed: int) -> None:
    channel, other = ends
    other.sendall(struct.pack("<I", claimed))
    with pytest.raises(NoMessage, match=str(claimed)):
        channel.receive(PATIENCE_S)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x00",
        framed(msgpack.packb({"a": 1}))[:-1],
        struct.pack("<I", MOST_BYTES + 1),
        b"\xff\xff\xff\xff",
        framed(b""),
        framed(b"\xc1"),
        framed(b"\xc1" * 100),
        framed(msgpack.packb([1, 2])),
        framed(msgpack.packb("text")),
        framed(msgpack.packb({"a": 1}) + b"\x00"),
        framed(msgpack.packb({str(n): n for n in range(65)})),
        framed(b"\x91" * 100_000 + b"\x90"),
        framed(b"\xdd\xff\xff\xff\xff"),
        framed(b"\xdf\xff\xff\xff\xff"),
        framed(msgpack.packb({"a": msgpack.ExtType(1, b"x")})),
        framed(b"\x81\xa1\xff\x01"),
        framed(b"\x81\x90\x01"),
    ],
)
def test_what_is_no_message_ends_the_channel(ends: Ends, data: bytes) -> None:
    channel, other = ends
    other.sendall(data)
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosed):
        channel.receive(PATIENCE_S)


@pytest.mark.parametrize(
    "data", [b"\x01", struct.pack("<I", MOST_BYTES + 1), framed(b"\xc1"), framed(b"\x90")]
)
def test_descriptors_that_come_with_nonsense_are_closed(ends: Ends, data: bytes) -> None:
    channel, other = ends
    before = descriptors()
    socket.send_fds(other, [data], [0, 0])
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosed):
        channel.receive(PATIENCE_S)
    assert descriptors() == before


@pytest.mark.parametrize("count", [1, 50])
def test_no_descriptor_comes_from_a_child(ends: Ends, count: int) -> None:
    channel, other = ends
    before = descriptors()
    socket.send_fds(other, [framed(msgpack.packb({}))], [0] * count)
    with pytest.raises(ChannelClosed, match="nobody asked for"):
        channel.receive(PATIENCE_S)
    assert descriptors() == before


def test_a_child_takes_no_more_descriptors_than_it_is_given_at_most() -> None:
    ours, theirs = pair()
    before = descriptors()
    ours.send({}, *[0] * 50)
    with pytest.raises(ChannelClosed):
        theirs.receive(PATIENCE_S)
    assert descriptors() == before
    ours.close()
    theirs.close()


def test_the_other_side_may_be_gone(ends: Ends) -> None:
    channel, other = ends
    other.close()
    with pytest.raises(ChannelClosed):
        channel.receive(PATIENCE_S)
    with pytest.raises(ChannelClosed):
        channel.send({"x": b"y" * 1_000_000})


def test_a_side_that_takes_nothing_is_as_good_as_gone() -> None:
    ours, theirs = Channel.pair()
    with theirs, pytest.raises(ChannelClosed):
        Channel(ours, send_s=0.05).send({"x": bytes(MOST_BYTES)})
    ours.close()


def test_a_close_from_elsewhere_wakes_who_receives(ends: Ends) -> None:
    channel, other = ends
    ended: list[Exception] = []

    def receive() -> None:
        try:
            channel.receive()
        except ChannelClosed as error:
            ended.append(error)

    receiver = threading.Thread(target=receive)
    receiver.start()
    other.shutdown(socket.SHUT_RDWR)
    until(lambda: ended, "the end of the channel")
    receiver.join()
