"""Answers as a person or a program reads them: pure functions from records to bytes."""

from __future__ import annotations

import os

from imgq import wire
from imgq.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_SEEN = (
    "width",
    "height",
    "format",
    "bytes",
    "mtime",
    "taken_at",
    "date_from",
    "camera",
    "gps",
    "hash",
    "offline",
)

# What stands for itself in a URL's path (RFC 3986).
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"


def path(raw: bytes, terminal: bool) -> bytes:
    """In a pipe the true bytes; on a terminal nothing that could steer it."""
    if not terminal:
        return raw
    shown = raw.decode("utf-8", "surrogateescape")
    if shown.isprintable():
        return raw
    return "".join(c if c.isprintable() else _escaped(c) for c in shown).encode()


def words(text: str) -> str:
    """Words for a person, lines of them, with nothing in them that could steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def line(hit: wire.Hit, shown: bytes) -> bytes:
    return b"%.3f\t%s\n" % (hit.score, shown)


def linked(raw: bytes, shown: bytes) -> bytes:
    """Words that lead a terminal to a file (OSC 8), which is on this machine."""
    link = f"file://{os.uname().nodename}{_quoted(raw)}".encode()
    return b"\x1b]8;;%s\x1b\\%s\x1b]8;;\x1b\\" % (link, shown)


def answer(query: str, first: wire.Hits, hits: list[wire.Hit]) -> dict[str, Any]:
    """The one object of `--json`."""
    return {
        "query": query,
        "model": first.model,
        "took_ms": round(first.took_ms, 1),
        "index": first.index.plain(),
        "results": [hit_object(rank, hit) for rank, hit in enumerate(hits, 1)],
    }


def hit_object(rank: int, hit: wire.Hit) -> dict[str, Any]:
    return {"rank": rank, "score": round(hit.score, 4), **seen_object(hit)}


def arrival_object(arrival: wire.Arrival) -> dict[str, Any]:
    score = None if arrival.score is None else round(arrival.score, 4)
    return {"seq": arrival.seq, "score": score, **seen_object(arrival)}


def seen_object(seen: wire.Seen) -> dict[str, Any]:
    """A file in the fields and the order of the contract."""
    plain = seen.plain()
    plain["bytes"] = plain.pop("size")
    return {**path_fields(seen.path), **{name: plain[name] for name in _SEEN}}


def path_fields(raw: bytes) -> dict[str, str]:
    """`path`, and where that is not UTF-8, `path_bytes` in base64."""
    try:
        return {"path": raw.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"path": raw.decode("utf-8", "replace"), "path_bytes": b64encode(raw).decode()}


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON takes it: `size` is `bytes` there, and a path may need two fields."""
    fields: dict[str, Any] = {}
    for name, value in record.__dict__.items():
        if name == "path":
            fields |= path_fields(value) if value is not None else {"path": None}
        else:
            fields["bytes" if name == "size" else name] = _value(value)
    return fields


def _value(value: Any) -> Any:
    if isinstance(value, Record):
        return plain(value)
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    return os.fsdecode(value) if isinstance(value, bytes) else value


def json_line(value: Any) -> bytes:
    """One line of JSON, in UTF-8; bytes that are not, as in an argument, become what they are in `path`."""
    from imgq.to_json import to_json

    text = to_json(value)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode() + b"\n"


def json_list(values: Iterable[Any]) -> Iterator[bytes]:
    """A JSON list, a value a line, piece by piece: a library may have a million files."""
    before = b"["
    for value in values:
        yield before + json_line(value).rstrip()
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"


def _quoted(raw: bytes) -> str:
    """A path as a URL has it."""
    if not raw.translate(None, _PLAIN):
        return raw.decode()
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
