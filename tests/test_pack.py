"""MessagePack in plain Python, against msgpack's own."""

from __future__ import annotations

import math
import random
from typing import Any

import msgpack
import pytest

from imgq.pack import MOST_DEPTH, pack, unpack

EDGES = [
    edge + step
    for power in range(65)
    for edge in (1 << power, -(1 << power))
    for step in (-1, 0, 1)
]
WHOLE = [edge for edge in EDGES if -(1 << 63) <= edge < 1 << 64]
LENGTHS = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536]
VALUES: list[Any] = [
    None,
    True,
    False,
    *WHOLE,
    *(0.0, -0.0, 0.1, -1.5, 1e308, 5e-324, 2.0**53, math.inf, -math.inf),
    *("é日🌅" * length for length in (0, 1, 3, 4, 40, 10_000)),
    *("x" * length for length in LENGTHS),
    *(b"\xff" * length for length in LENGTHS),
    *([7] * length for length in LENGTHS),
    *({str(key): key for key in range(length)} for length in (0, 15, 16, 300)),
    {"a": [{"b": [None, {"c": b"\x00"}]}, 1.5], "": ""},
]


def theirs(data: bytes) -> Any:
    return msgpack.unpackb(data, max_ext_len=0)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_both_ways_as_msgpack_does_it(value: Any) -> None:
    assert pack(value) == msgpack.packb(value)
    assert unpack(pack(value)) == value
    assert type(unpack(pack(value))) is type(value)


@pytest.mark.parametrize("value", [0.0, -1.5, 0.1, math.inf])
def test_a_peer_may_write_smaller_numbers(value: float) -> None:
    single = msgpack.packb(value, use_single_float=True)
    assert unpack(single) == theirs(single)


def test_what_has_no_place_in_a_message_is_refused() -> None:
    for value in (1 << 64, -(1 << 63) - 1, {1, 2}, object(), [1j]):
        with pytest.raises(ValueError, match="cannot be packed"):
            pack(value)
    assert pack("a\ud800") == msgpack.packb("a\\ud800")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pack([1, 2]) + b"\xc0",
        msgpack.packb(msgpack.ExtType(1, b"x")),
        msgpack.packb({1: 2}),
        b"\xa1\xff",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff\x01",
        b"\xc6\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff\xa0\x01",
        b"\x91" * (MOST_DEPTH + 1) + b"\xc0",
        b"\x91" * 60_000,
        b"\x81\xa0" * 30_000,
    ],
    ids=lambda data: repr(data)[:24],
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(data)


def test_every_cut_is_noticed() -> None:
    whole = pack({"a": [1, 300, -70_000, 1.5, "text", "x" * 40, b"bytes", {"b": None}]})
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"cut off"):
            unpack(whole[:end])


def test_noise_is_read_as_msgpack_reads_it_or_refused() -> None:
    dice = random.Random(4)
    read = 0
    for _ in range(20_000):
        data = dice.randbytes(dice.randint(1, 12))
        try:
            found = unpack(data)
        except ValueError:
            continue
        read += 1
        assert repr(found) == repr(theirs(data)), data
    assert read > 500
