"""The daemon's end of ZMTP, without a socket: what is taken for a message, and who is a stranger.

That libzmq's own DEALER is understood is seen in test_server, and our client's in test_zmtp.
"""

from __future__ import annotations

import tracemalloc

import pytest

from imgqd.serve.zmtp import GREETING, READY, Conversation, Stranger, framed
from served import GREETING as CLIENTS

MOST = 1000
CLIENT_READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
HELLO = CLIENTS + CLIENT_READY


def heard(*parts: bytes) -> list[bytes]:
    """The messages of one who says this."""
    conversation, messages = Conversation(MOST), []
    for part in parts:
        conversation.hear(part)
        messages += list(iter(conversation.message, None))
    return messages


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_greetings_go_both_ways() -> None:
    conversation = Conversation(MOST)
    assert conversation.owed == GREETING
    conversation.hear(CLIENTS)
    assert conversation.message() is None
    assert (conversation.owed, conversation.is_ready) == (GREETING + READY, False)
    conversation.hear(CLIENT_READY)
    assert conversation.message() is None
    assert conversation.is_ready
    assert not conversation.is_amid


@pytest.mark.parametrize("size", [0, 1, 255, 256, MOST])
def test_a_message_of_any_size_comes_whole(size: int) -> None:
    said = HELLO + framed(bytes(size)) + framed(b"next")
    assert heard(said) == [bytes(size), b"next"]
    assert heard(*one_by_one(said)) == [bytes(size), b"next"]


def test_what_has_begun_is_amid_and_tells_what_it_claims() -> None:
    conversation = Conversation(MOST)
    conversation.hear(HELLO + framed(bytes(600))[:100])
    assert conversation.message() is None
    assert (conversation.is_amid, conversation.claimed) == (True, 609)
    conversation.hear(framed(bytes(600))[100:])
    assert conversation.message() == bytes(600)
    assert (conversation.is_amid, conversation.claimed) == (False, 0)


@pytest.mark.parametrize("frames", [2, 3, 10_000])
def test_a_message_of_several_frames_is_an_empty_one(frames: int) -> None:
    several = b"\x01\x02ab" * (frames - 1) + b"\x00\x02ab"
    assert heard(HELLO + several + framed(b"next")) == [b"", b"next"]


def test_frames_without_end_cost_no_more_than_one_of_them() -> None:
    conversation = Conversation(MOST)
    conversation.hear(HELLO)
    assert conversation.message() is None
    endless = b"\x03" + (900).to_bytes(8, "big") + bytes(900)
    tracemalloc.start()
    try:
        for _ in range(10_000):
            conversation.hear(endless)
            assert conversation.message() is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert conversation.is_amid
    assert most < 100_000


@pytest.mark.parametrize(
    "said",
    [
        b"G",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"\x01\x00",
        b"\xff" * 64,
        b"\xff" + bytes(8) + b"\x7e",
        b"\xff" + bytes(8) + b"\x7f\x01",
        b"\xff" + bytes(8) + b"\x7f\x02",
        CLIENTS.replace(b"NULL", b"CURV"),
        CLIENTS.replace(b"NULL\0", b"NULLS"),
        CLIENTS + framed(b"too early"),
        CLIENTS + b"\x01\x00",
        CLIENTS + b"\x04\x06\x05ERROR",
        HELLO + b"\x08\x00",
        HELLO + b"\x80\x00",
        HELLO + b"\x02" + (MOST + 1).to_bytes(8, "big"),
        HELLO + b"\x02" + (20 << 30).to_bytes(8, "big"),
        HELLO + b"\x02" + b"\xff" * 8,
        HELLO + b"\x03" + (MOST + 1).to_bytes(8, "big"),
        HELLO + b"\x06" + (1025).to_bytes(8, "big"),
    ],
)
def test_a_stranger_is_told_as_soon_as_may_be(said: bytes) -> None:
    with pytest.raises(Stranger):
        heard(said)
    with pytest.raises(Stranger):
        heard(*one_by_one(said))


@pytest.mark.parametrize("length", range(64))
def test_half_a_greeting_is_waited_for(length: int) -> None:
    conversation = Conversation(MOST)
    conversation.hear(CLIENTS[:length])
    assert conversation.message() is None
    assert not conversation.is_ready


def test_a_ping_is_answered_with_its_context() -> None:
    conversation = Conversation(MOST)
    conversation.hear(HELLO)
    conversation.message()
    conversation.owed.clear()
    conversation.hear(b"\x04\x0a\x04PING\x00\x0aabc" + b"\x04\x07\x04PING\x00\x0a")
    assert conversation.message() is None
    assert conversation.owed == b"\x04\x08\x04PONGabc" + b"\x04\x05\x04PONG"


def test_a_command_of_no_use_is_passed_over() -> None:
    assert heard(HELLO + b"\x04\x07\x06CANCEL" + framed(b"next")) == [b"next"]
