"""JSON without importing json, against json's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imgq.to_json import to_json

PLAIN: list[Any] = [
    None,
    True,
    False,
    *(0, -1, 1 << 64, 0.0, -0.5, 0.3121, 1e-9, 1e300),
    *("", "a", 'say "no"\\', "\n\r\t\f\b\x00\x1f", "é日🌅", "a/b"),
    *([], {}, [[]], {"a": {}}, (1, "b"), [1, [2.5, {"c": None}]]),
    {"path": "/p/a.jpg", "gps": {"lat": 52.1, "lon": 4.3}, "hits": [{"rank": 1}, {"rank": 2}]},
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_is_written_as_json_writes_it(value: Any) -> None:
    assert to_json(value) == json.dumps(value, ensure_ascii=False)


def test_every_character_comes_back_and_none_steers_a_terminal() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    written = to_json(every)
    assert json.loads(written) == every
    steering = {0x7F, *range(0x20), *range(0x80, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066}
    assert not steering & set(map(ord, written))


def test_what_is_no_json_is_a_bug() -> None:
    with pytest.raises(TypeError):
        to_json({"path": b"/p"})
