"""Messages: each packs and unpacks, and no frame costs more than it may."""

from __future__ import annotations

import math
import random
import tracemalloc

import msgpack
import pytest

from imgq import wire
from imgq.errors import ProtocolMismatch
from imgq.wire import BadMessage

SEEN = {
    "path": b"/p/caf\xe9.jpg",
    "size": 7,
    "mtime": "2025-03-01T10:11:12Z",
    "date_from": "exif",
    "offline": False,
}
FRESH = wire.Freshness(files=1, pending=0, failed=0, settled=True)
HIT = wire.Hit(score=0.25, gps=wire.Place(lat=52.1, lon=4.3), hash="xxh3:00", **SEEN)
KNOWN = wire.KnownFile(path=b"/p", hash="", size=0, mtime="", offline=True)
ERROR = wire.FileError(
    path=b"/p", reason="is cut off", kind="damaged", attempts=2, first_seen="", last_seen=""
)
FINDING = wire.Finding(code="gone", path=b"/p", message="is gone", remedy="forget it", files=1)
ROOT = wire.Root(path=b"/p", state="watching", files=1)
ROLES = (wire.Process(role="daemon", pid=1),)
STATUS = wire.Status(
    version="1",
    pid=1,
    processes=ROLES,
    uptime_s=0.5,
    state="idle",
    settled=True,
    model=wire.ModelState(name="builtin", dim=256, state="ready"),
    index=wire.IndexState(**dict.fromkeys(wire.IndexState.fields, 1)),
    roots=(ROOT,),
    rates=wire.Rates(pictures_per_s=0),
    counters=wire.Counters(embedded=1),
    degraded=(wire.Trouble(code="offline", path=b"/p", message="is not there"),),
)
REQUESTS = [
    wire.Search(terms=[wire.Term(text="red"), wire.Term(picture=b"\xff", weight=-0.5)]),
    wire.Batch(options=wire.Search(terms=[], top=3), terms=[wire.BatchTerm(query=0, text="red")]),
    wire.Follow(search=wire.Search(terms=[], min_score=0.5), origin=b"\xff", after=7),
    wire.AskStatus(),
    wire.AskStats(),
    wire.Add(paths=[b"/p/caf\xe9"]),
    wire.Remove(paths=[b"/p"]),
    wire.AskRoots(),
    wire.AskNames(of="lens"),
    wire.Settle(timeout=1),
    wire.Check(paths=[b"/p"], repair=True),
    wire.AskErrors(),
    wire.Retry(),
    wire.Dupes(within=[b"/p"], near=1),
    wire.AskInfo(path=b"/p" * (1 << 15)),
    wire.AskFiles(),
    wire.Reindex(),
    wire.Export(),
    wire.AskThumbnails(paths=[b"/p"]),
    wire.Pause(seconds=7200.0),
    wire.Resume(),
    wire.UseModel(name="fast", keep=True),
    wire.DropModel(name="fast"),
    wire.Reload(),
    wire.ReadKeys(),
    wire.Stop(),
]
REPLIES = [
    wire.Fault(exit_code=4, message="no"),
    wire.Hits(model="fast", took_ms=7.9, index=FRESH, hits=(HIT,) * wire.HITS_A_REPLY),
    wire.Arrivals(origin=b"\xff", last=7, arrivals=[wire.Arrival(seq=7, score=None, **SEEN)]),
    wire.Duplicates(files=[wire.Duplicate(group=0, kind="near", alike=0.98, **SEEN)]),
    STATUS,
    wire.Stats(
        version="1",
        model="builtin",
        uptime_s=0.5,
        rates=STATUS.rates,
        counters=STATUS.counters,
        indexing=[wire.StageTime(stage="read", count=1, seconds=0.5)],
        search=[wire.StageTime(stage="rank", count=1, seconds=0.5, p50_s=0.5, p95_s=0.5)],
        processes=[wire.Usage(role="daemon", pid=1, memory_bytes=1, cpu_s=0.5)],
        index=STATUS.index,
        codes_bytes=1,
    ),
    wire.Roots(roots=[ROOT]),
    wire.Names(names=["Leica Q2"]),
    wire.Settled(settled=False, pending=3),
    wire.Checked(
        files=3, folders=2, pictures=1, skipped=[b"/q"], findings=(FINDING,) * wire.ROWS_A_REPLY
    ),
    wire.Errors(errors=[ERROR]),
    wire.Taken(files=3),
    wire.Info(state="failed", file=wire.Seen(**SEEN), error=ERROR, copies=[b"/q"]),
    wire.Files(files=(KNOWN,) * wire.ROWS_A_REPLY),
    wire.Vectors(vectors=[wire.Vector(path=b"/p", hash="", vector=bytes(1024))]),
    wire.Thumbnail(picture=None),
    wire.Noted(),
    wire.Stopping(processes=ROLES),
]


def frame(*message: object) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def kind(message: wire.Record) -> str:
    return type(message).__name__


def test_no_message_is_left_out_here() -> None:
    assert list(map(kind, REQUESTS)) == list(wire.REQUESTS)
    assert sorted(map(kind, REPLIES)) == sorted(wire.REPLIES)


@pytest.mark.parametrize("request_", REQUESTS, ids=kind)
def test_every_request_comes_out_as_it_went_in(request_: wire.Request) -> None:
    assert wire.unpack_request(wire.pack_request(request_, 7)) == (7, request_)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("reply", REPLIES, ids=kind)
def test_every_reply_comes_out_as_it_went_in(reply: wire.Reply, more: bool) -> None:
    assert wire.unpack_reply(wire.pack_reply(reply, 9, more)) == (9, more, reply)


def test_the_largest_picture_fits() -> None:
    picture = bytes(wire.MOST_PICTURE)
    search = wire.Search(terms=[wire.Term(picture=picture)])
    packed = wire.pack_request(search, 1)
    assert len(packed) < wire.MOST_REQUEST
    assert wire.unpack_request(packed)[1] == search


def test_a_status_leaves_whatever_a_library_says_of_its_failure() -> None:
    trouble = wire.Trouble(code="embedder", message="missing keys: " + "a.b.c, " * 3000)
    assert wire.Trouble.from_plain(trouble.plain()) == trouble


def test_the_longest_batch_fits() -> None:
    terms = [wire.BatchTerm(query=query, text="red") for query in range(wire.MOST_QUERIES)]
    batch = wire.Batch(options=wire.Search(terms=[]), terms=terms, first=7)
    assert wire.unpack_request(wire.pack_request(batch, 1)) == (1, batch)


def test_as_many_paths_as_a_shell_makes_of_a_star_fit() -> None:
    reindex = wire.Reindex(paths=[b"/p/a.jpg"] * wire.MOST_PATHS)
    assert wire.unpack_request(wire.pack_request(reindex, 1)) == (1, reindex)


def test_a_sentence_with_a_name_that_is_no_text_still_leaves() -> None:
    fault = wire.Fault(exit_code=4, message="caf\udce9.jpg is not watched")
    _, _, reply = wire.unpack_reply(wire.pack_reply(fault, 1))
    assert isinstance(reply, wire.Fault)
    assert reply.message == "caf\\udce9.jpg is not watched"


@pytest.mark.parametrize("protocol", [0, 2, "1", None, [[1]], {"v": 1}, 1 << 40])
def test_another_protocol_is_told_from_nonsense(protocol: object) -> None:
    for places in ([], ["AskStatus", {}], ["more", "places", "than", "now"]):
        message = frame(protocol, 5, *places)
        with pytest.raises(ProtocolMismatch) as caught:
            wire.unpack_request(message)
        assert caught.value.exit_code == 5
        assert wire.request_number(message) == 5


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xc1",
        frame(),
        frame(1),
        msgpack.packb({"protocol": 1}),
        msgpack.packb(1),
        frame(1, 1, "AskStatus"),
        frame(1, 1, "AskStatus", {}, "more"),
        frame(1, -1, "AskStatus", {}),
        frame(1, 1 << 32, "AskStatus", {}),
        frame(1, True, "AskStatus", {}),
        frame(1, "1", "AskStatus", {}),
        frame(1, math.inf, "AskStatus", {}),
        frame(1, 1, "Status", {}),
        frame(1, 1, ["AskStatus"], {}),
        frame(1, 1, b"AskStatus", {}),
        frame(1, 1, "AskStatus", []),
        frame(1, 1, "AskStatus", {"self": 1}),
        frame(1, 1, "AskStatus", {"cls": 1}),
        frame(1, 1, "AskStatus", {b"x": 1}),
        frame(1, 1, "AskStatus", {1: 1}),
        frame(1, 1, "Search", {"terms": [], "top": math.nan}),
        frame(1, 1, "Search", {"terms": [], "top": -1}),
        frame(1, 1, "Search", {"terms": [], "top": 1_000_000}),
        frame(1, 1, "Search", {"terms": [], "timeout": math.nan}),
        frame(1, 1, "Search", {"terms": [], "exact": 1}),
        frame(1, 1, "Search", {"terms": [{}] * 65}),
        frame(1, 1, "Search", {"terms": [{"weight": math.inf}]}),
        frame(1, 1, "AskInfo", {"path": "text"}),
        frame(1, 1, "AskInfo", {"path": b"/" * ((1 << 16) + 1)}),
        frame(1, 1, "AskInfo", {"path": msgpack.ExtType(1, b"x")}),
        frame(1, 1, "AskInfo", {"path": msgpack.Timestamp(1)}),
        b"\x94\x01\x01\xa3\xff\xff\xff\x80",
    ],
)
def test_nonsense_is_a_bad_message_and_nothing_else(nonsense: bytes) -> None:
    with pytest.raises(BadMessage):
        wire.unpack_request(nonsense)
    assert wire.request_number(nonsense) in (0, 1)


def empty_parts(part: bytes) -> bytes:
    """4 MiB of the smallest parts there are, in lists as long as a list may be."""
    lists = (b"\xdc\x10\x00" + part * 4096) * 1024
    return b"\x94\x01\x01\xa6Search\x81\xa5terms\xdc\x04\x00" + lists


def maps_in_maps() -> bytes:
    """4 MiB of them, each as large as a map may be."""
    part = b"\x80"
    for _ in range(3):
        part = b"\xde\x00\x40" + b"".join(b"\xa1" + bytes((33 + key,)) + part for key in range(64))
    return b"\x94\x01\x01\x94" + part * 4 + b"\x80"


@pytest.mark.parametrize(
    "bomb",
    [
        maps_in_maps(),
        empty_parts(b"\x80"),
        empty_parts(b"\x90"),
        empty_parts(b"\xa2ab"),
        empty_parts(b"\xcb" + bytes(8)),
        b"\x91" * 100_000,
        b"\x81\xa0" * 100_000,
        b"\x91" * 500 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
    ],
    ids=[
        "maps in maps", "maps", "lists", "texts", "floats", "deep lists", "deep maps", "less deep",
        "array claim", "map claim", "text claim", "bytes claim", "extension claim",
    ],
)  # fmt: skip
def test_a_bomb_is_refused_before_it_grows(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage):
            wire.unpack_request(bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(bomb) + (24 << 20)


def test_a_frame_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(BadMessage, match="is the most"):
        wire.unpack_reply(bytes(wire.MOST_REPLY + 1))
    assert wire.request_number(bytes(wire.MOST_REQUEST + 1)) == 0


def test_random_frames_are_answered_or_refused() -> None:
    dice = random.Random(0)
    good = wire.pack_request(
        wire.Search(terms=[wire.Term(text="red")], filter=wire.Filter(within=[b"/p"])), 3
    )
    for _ in range(20_000):
        spoilt = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
        wire.request_number(bytes(spoilt))
        try:
            wire.unpack_request(bytes(spoilt[: dice.randint(1, len(spoilt))]))
        except (BadMessage, ProtocolMismatch):
            continue
