"""MessagePack in plain Python, as much of it as messages have.

For a question and its first answer: importing the compiled msgpack takes a client longer than all else it
does, and reading a screenful of hits does not need it. Tests hold it against msgpack's own.
"""

from __future__ import annotations

from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Deeper than any message, far above what a stack holds.
MOST_DEPTH = 16
# The first byte of each kind that is written with its length or value in 1, 2, 4 or 8 bytes behind it.
_UNSIGNED, _SIGNED, _BINARY, _TEXT = 0xCC, 0xD0, 0xC4, 0xD9
_NIL, _FALSE, _TRUE, _DOUBLE, _SINGLE = 0xC0, 0xC2, 0xC3, 0xCB, 0xCA
_SHORT_LIST, _LIST, _SHORT_MAP, _MAP, _SHORT_TEXT = 0x90, 0xDC, 0x80, 0xDE, 0xA0
_BIG_ENDIAN = 1 if byteorder == "big" else -1


def pack(value: Any) -> bytes:
    """None, bool, int, float, str, bytes, lists and maps of these. Raises ValueError."""
    return b"".join(_parts(value))


def unpack(data: bytes) -> Any:
    """The one value in it. Raises ValueError: what it is made of is never larger than it."""
    try:
        value, end = _value(data, 0, MOST_DEPTH)
    except IndexError:
        raise ValueError("it is cut off") from None
    if end != len(data):
        raise ValueError("it is cut off" if end > len(data) else "something follows it")
    return value


def _parts(value: Any) -> Iterator[bytes]:
    kind = type(value)
    if value is None or kind is bool:
        yield bytes((_NIL if value is None else _TRUE if value else _FALSE,))
    elif kind is int:
        yield _whole(value)
    elif kind is float:
        eight = memoryview(bytearray(8)).cast("d")
        eight[0] = value
        yield bytes((_DOUBLE,)) + eight.tobytes()[::_BIG_ENDIAN]
    elif kind is str:
        # A sentence may name a file whose name is no text.
        text = value.encode("utf-8", "backslashreplace")
        short = len(text) < 32
        yield bytes((_SHORT_TEXT | len(text),)) if short else _head(_TEXT, len(text))
        yield text
    elif kind is bytes:
        yield _head(_BINARY, len(value))
        yield value
    elif kind is list:
        yield _counted(_SHORT_LIST, _LIST, len(value))
        for each in value:
            yield from _parts(each)
    elif kind is dict:
        yield _counted(_SHORT_MAP, _MAP, len(value))
        for key, each in value.items():
            yield from _parts(key)
            yield from _parts(each)
    else:
        raise ValueError(f"{kind.__name__} cannot be packed")


def _whole(value: int) -> bytes:
    if -32 <= value < 128:
        return bytes((value & 0xFF,))
    for power in range(4):
        size = 1 << power
        if 0 <= value < 1 << 8 * size:
            return bytes((_UNSIGNED + power,)) + value.to_bytes(size, "big")
        if -(1 << 8 * size - 1) <= value < 0:
            return bytes((_SIGNED + power,)) + value.to_bytes(size, "big", signed=True)
    raise ValueError("a whole number of more than 64 bits cannot be packed")


def _head(first: int, length: int) -> bytes:
    for power in range(3):
        if length < 1 << (8 << power):
            return bytes((first + power,)) + length.to_bytes(1 << power, "big")
    raise ValueError(f"{length} bytes cannot be packed")


def _counted(short: int, first: int, length: int) -> bytes:
    if length < 16:
        return bytes((short | length,))
    wide = length >= 1 << 16
    return bytes((first + wide,)) + length.to_bytes(4 if wide else 2, "big")


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins there, and where the next does, which is beyond the end where the value is cut
    off. Raises IndexError beyond the end."""
    first = data[at]
    at += 1
    # The commonest first: the names of fields.
    if _SHORT_TEXT <= first < _NIL:
        end = at + first - _SHORT_TEXT
        return data[at:end].decode(), end
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 256, at
    if first in _CONSTANTS:
        return _CONSTANTS[first], at
    if first < _SHORT_LIST:
        return _map(data, at, first & 0x0F, depth)
    if first < _SHORT_TEXT:
        return _list(data, at, first & 0x0F, depth)
    return _sized(data, at, first, depth)


_CONSTANTS: dict[int, bool | None] = {_NIL: None, _FALSE: False, _TRUE: True}
# By the first byte: the kind, and in how many bytes its length or value follows.
_SIZES = {
    kind + power: (kind, 1 << power)
    for kind, powers in ((_UNSIGNED, 4), (_SIGNED, 4), (_TEXT, 3), (_BINARY, 3))
    for power in range(powers)
}


def _sized(data: bytes, at: int, first: int, depth: int) -> tuple[Any, int]:
    if first in _SIZES:
        kind, size = _SIZES[first]
        start = at + size
        number = int.from_bytes(data[at:start], "big", signed=kind == _SIGNED)
        if kind in (_UNSIGNED, _SIGNED):
            return number, start
        taken = data[start : start + number]
        return (taken.decode() if kind == _TEXT else taken), start + number
    if first in (_DOUBLE, _SINGLE):
        size = 8 if first == _DOUBLE else 4
        bits = memoryview(data[at : at + size].ljust(size, b"\0")[::_BIG_ENDIAN])
        return bits.cast("d" if size == 8 else "f")[0], at + size
    for kind, read in ((_LIST, _list), (_MAP, _map)):
        if kind <= first < kind + 2:
            start = at + (2 << first - kind)
            return read(data, start, int.from_bytes(data[at:start], "big"), depth)
    raise ValueError("it holds a kind of value that no message has")


def _list(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    if not depth:
        raise ValueError("it is nested too deeply")
    values = []
    for _ in range(count):
        value, at = _value(data, at, depth - 1)
        values.append(value)
    return values, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Any, Any], int]:
    if not depth:
        raise ValueError("it is nested too deeply")
    values = {}
    for _ in range(count):
        key, at = _value(data, at, depth - 1)
        if type(key) is not str:
            raise ValueError("a key in it is no text")
        values[key], at = _value(data, at, depth - 1)
    return values, at
