"""Answers as lines and as JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from imgq import render, wire

FIELDS = [
    "rank", "score", "path", "width", "height", "format", "bytes", "mtime", "taken_at",
    "date_from", "camera", "gps", "hash", "offline",
]  # fmt: skip


def hit(path: bytes = b"/p/a.jpg", **more: Any) -> wire.Hit:
    fields = {"size": 7, "mtime": "2025-03-01T10:11:12Z", "date_from": "file", "offline": False}
    return wire.Hit(**{"score": 0.312345, "path": path, **fields, **more})


def test_a_line_is_score_tab_path() -> None:
    assert render.line(hit(), b"/p/a.jpg") == b"0.312\t/p/a.jpg\n"
    assert render.line(hit(score=-0.0301), b"/p/a.jpg") == b"-0.030\t/p/a.jpg\n"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"/p/a b.jpg", "/p/a b.jpg"),
        ("/p/caf\u00e9 \u5bff\u53f8 \U0001f355".encode(), "/p/caf\u00e9 \u5bff\u53f8 \U0001f355"),
        (b"/p/a\nb", r"/p/a\x0ab"),
        (b"/p/\x1b[31m\x07\x7f", r"/p/\x1b[31m\x07\x7f"),
        ("/p/\u009b31m".encode(), r"/p/\x9b31m"),
        ("/p/\u202egpj".encode(), r"/p/\u202egpj"),
        ("/p/\U000e0001x".encode(), r"/p/\U000e0001x"),
        (b"/p/caf\xe9", r"/p/caf\xe9"),
    ],
)
def test_a_terminal_is_not_steered_by_a_name(raw: bytes, shown: str) -> None:
    assert render.path(raw, terminal=True).decode() == shown
    assert render.path(raw, terminal=False) == raw


def test_an_answer_has_the_fields_of_the_contract() -> None:
    fresh = wire.Freshness(files=3, pending=1, failed=2, settled=False)
    found = [
        hit(
            width=4032,
            height=3024,
            format="JPEG",
            taken_at="2025-03-01T09:58:00",
            date_from="exif",
            camera="Camera",
            gps=wire.Place(lat=52.1, lon=4.3),
            hash="xxh3:00",
        ),
        hit(score=0.1),
    ]
    head = wire.Hits(model="fast", took_ms=7.9123, index=fresh, hits=found)
    answer = json.loads(render.json_line(render.answer("red car", head, found)))
    assert list(answer) == ["query", "model", "took_ms", "index", "results"]
    assert (answer["query"], answer["model"], answer["took_ms"]) == ("red car", "fast", 7.9)
    assert answer["index"] == {"files": 3, "pending": 1, "failed": 2, "settled": False}
    first, second = answer["results"]
    assert list(first) == list(second) == FIELDS
    assert (first["rank"], second["rank"], first["score"]) == (1, 2, 0.3123)
    assert (first["bytes"], first["gps"]) == (7, {"lat": 52.1, "lon": 4.3})
    assert [name for name in FIELDS if second[name] is None] == [
        "width", "height", "format", "taken_at", "camera", "gps", "hash",
    ]  # fmt: skip


def test_a_path_that_is_no_text_has_its_bytes_beside_it() -> None:
    shown = json.loads(render.json_line(render.hit_object(1, hit(b"/p/caf\xe9\n.jpg"))))
    assert shown["path"] == "/p/caf\ufffd\n.jpg"
    assert base64.b64decode(shown["path_bytes"]) == b"/p/caf\xe9\n.jpg"
    assert list(shown) == [*FIELDS[:3], "path_bytes", *FIELDS[3:]]
    assert "path_bytes" not in render.hit_object(1, hit())


def test_json_is_one_line_and_steers_no_terminal() -> None:
    name = "/p/\x1b[31m\n\u009b\x7f\u2028\u00e9"
    written = render.json_line({"path": name})
    assert json.loads(written) == {"path": name}
    assert written.count(b"\n") == 1
    text = written.rstrip(b"\n").decode()
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in text)
    assert "\u00e9" in text


def test_a_query_that_is_no_text_is_still_json() -> None:
    written = render.json_line({"query": "like caf\udce9\udce8 \udce2\udc82.jpg?"})
    assert json.loads(written) == {"query": "like caf\ufffd\ufffd \ufffd.jpg?"}


def test_a_record_becomes_plain() -> None:
    trouble = wire.Trouble(code="offline", path=b"/p/caf\xe9", message="is not there")
    shown = render.plain(wire.Roots(roots=[wire.Root(path=b"/p", state="denied", files=2)]))
    assert shown == {"roots": [{"path": "/p", "state": "denied", "files": 2}]}
    assert list(render.plain(trouble)) == ["code", "path", "path_bytes", "message", "remedy"]
    assert render.plain(wire.Trouble(code="c", message="m"))["path"] is None
    known = wire.KnownFile(path=b"/p", hash="xxh3:", size=3, mtime="", offline=False)
    assert list(render.plain(known)) == ["path", "hash", "bytes", "mtime", "offline"]
