"""From a query's terms to its hits: a real store, the fake text tower, and pictures from a stand-in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fake_embedder
from imgq import wire
from imgq.errors import Refused, TimedOut, UsageError
from imgqd.embedder.jobs import QueryPicture, QueryVector
from imgqd.index import Index
from imgqd.library.roots import Roots
from imgqd.models import card
from imgqd.records import Failure, Indexed, Metadata, Stamp
from imgqd.search import search as module
from imgqd.search.resident import Resident
from imgqd.search.search import Searcher
from imgqd.search.texts import TextTower
from imgqd.store import Identity, Store

DIM = 16
PHOTO = Metadata("JPEG", 40, 30)
CARD = card.Card(
    "fake", "fake", None, "/nowhere", "", "fake", DIM, card.PixelSpec(8, 8), card.OPENAI_MEAN,
    card.OPENAI_STD, 77,
)  # fmt: skip


class Embedding:
    """Stands where the pipeline stands: the bytes of a query's picture name its vector.

    b"7" is picture 7 of the library, b"!" cannot be decoded, b"?" is never answered.
    """

    def submit(self, work: QueryPicture) -> None:
        with open(work.descriptor, "rb") as file:
            told = file.read()
        if told == b"!":
            work.answer.set_result(Failure("damaged", "it is broken"))
        elif told == b"-":
            work.answer.set_result(Failure("crashed", "the decoder crashed"))
        elif told != b"?":
            number = int(told)
            work.answer.set_result(QueryVector(hash_of(number), vector(number)))


class Asked(Embedding):
    """The space of the one model there is."""

    def __init__(self, index: Index, texts: TextTower) -> None:
        self.texts = texts
        self.model = index.store.model
        self.resident = index.resident


class Library:
    """Pictures by number, under /r and /s; their vectors are `vector(number)`."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "index.db", "decoder-1")
        self.store.use_model("fake", "fake", DIM)
        for path in (b"/r", b"/s"):
            self.store.add_root(path, Identity(1, 2, "ext4:1"))
        self.index = Index(self.store, Resident(DIM))
        self.texts = TextTower(CARD)
        roots = Roots(self.index)
        self.space: Any = Asked(self.index, self.texts)
        self.searcher = Searcher(self.index, roots)
        self.roots = roots

    def show(self, *files: tuple[str, int]) -> None:
        self.index.commit(
            [
                Indexed(os.fsencode(path), STAMP, hash_of(number), True, PHOTO, vector(number))
                for path, number in files
            ]
        )

    def offline(self, root: bytes) -> None:
        self.store.set_root(root, state="offline")
        self.roots.read()

    def hits(
        self, *terms: wire.Term, within: Sequence[bytes] = (), **options: Any
    ) -> list[wire.Hit]:
        filter = wire.Filter(within=tuple(within))
        search = wire.Search(terms=terms, filter=filter, **options)
        return list(self.searcher.hits(self.space, search))

    def paths(self, *terms: wire.Term, **options: Any) -> list[str]:
        return [os.fsdecode(hit.path) for hit in self.hits(*terms, **options)]


STAMP = Stamp(10, 10**18, 10**18, 7, 1)


def hash_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def vector(number: int) -> np.ndarray:
    """Of pictures a thousand apart the same, though their bytes are others."""
    values = np.random.default_rng(number % 1000).standard_normal(DIM)
    return (values / np.linalg.norm(values)).astype(np.float32)


def text(words: str, weight: float = 1.0) -> wire.Term:
    return wire.Term(text=words, weight=weight)


def like(number: int, weight: float = 1.0) -> wire.Term:
    return wire.Term(picture=b"%d" % number, weight=weight)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    for name, value in fake_embedder.environment().items():
        if name != "PYTHONPATH":
            monkeypatch.setenv(name, value)
    library = Library(tmp_path)
    library.texts.start()
    yield library
    library.store.close()


@pytest.fixture
def full(library: Library) -> Library:
    library.show(*[(f"/r/{number:03}.jpg", number) for number in range(200)])
    return library


def expected(query: np.ndarray, numbers: Sequence[int]) -> list[int]:
    return sorted(numbers, key=lambda number: -float(vector(number) @ query))


def test_a_text_finds_what_is_nearest_to_it(full: Library) -> None:
    (wanted,) = fake_embedder.FakeTexts(CARD).embed(["red car"])
    hits = full.hits(text("red car"))
    assert [int(hit.path[3:6]) for hit in hits] == expected(wanted, range(200))[:20]
    assert [hit.score for hit in hits] == pytest.approx(
        [float(vector(int(hit.path[3:6])) @ wanted) for hit in hits], abs=1e-5
    )


def test_terms_combine_as_their_weighted_unit_vectors(full: Library) -> None:
    texts = fake_embedder.FakeTexts(CARD).embed(["horse", "people"])
    total = texts[0] + 2.5 * vector(7) - 0.5 * texts[1] - vector(9)
    wanted = total / np.linalg.norm(total)
    terms = (text("horse"), like(7, 2.5), text("people", -0.5), like(9, -1.0))
    hits = full.hits(*terms, top=1000)
    others = [number for number in range(200) if number not in (7, 9)]
    assert [int(hit.path[3:6]) for hit in hits] == expected(wanted, others)
    assert hits[0].score == pytest.approx(float(vector(int(hits[0].path[3:6])) @ wanted), abs=1e-5)


def test_the_pictures_of_a_query_are_left_out_with_all_their_copies(library: Library) -> None:
    library.show(("/r/a.jpg", 1), ("/s/copy.jpg", 1), ("/r/b.jpg", 2), ("/r/c.jpg", 3))
    assert sorted(library.paths(like(1))) == ["/r/b.jpg", "/r/c.jpg"]
    assert library.paths(like(1), like(2, -1.0)) == ["/r/c.jpg"]
    assert len(library.paths(like(77))) == 4


def test_copies_are_found_side_by_side_by_path(library: Library) -> None:
    library.show(("/s/b.jpg", 1), ("/r/z.jpg", 1), ("/s/a.jpg", 1), ("/r/other.jpg", 2))
    found = library.paths(text("x"), top=10)
    copies = [path for path in found if path != "/r/other.jpg"]
    assert copies == ["/r/z.jpg", "/s/a.jpg", "/s/b.jpg"]
    assert library.paths(like(2), top=2) == ["/r/z.jpg", "/s/a.jpg"]


@pytest.mark.parametrize(
    ("within", "found"),
    [
        ([b"/r/a"], ["/r/a/1.jpg", "/r/a/deep/2.jpg"]),
        ([b"/r/a/"], ["/r/a/1.jpg", "/r/a/deep/2.jpg"]),
        ([b"/r/./a/x/.."], ["/r/a/1.jpg", "/r/a/deep/2.jpg"]),
        ([b"/r/a/deep"], ["/r/a/deep/2.jpg"]),
        ([b"/r/ab"], ["/r/ab/3.jpg"]),
        ([b"/r/a b"], ["/r/a b/4.jpg"]),
        ([b"/r/a%"], []),
        ([b"/r/A"], []),
        ([b"/r/a/1.jpg"], []),
        ([b"/"], ["/r/a b/4.jpg", "/r/a/1.jpg", "/r/a/deep/2.jpg", "/r/ab/3.jpg"]),
        ([b"/r/ab", b"/r/a/deep"], ["/r/a/deep/2.jpg", "/r/ab/3.jpg"]),
        ([b"/elsewhere"], []),
        ([b"r/a"], []),
    ],
)
def test_in_is_exact_by_the_components_of_a_path(
    library: Library, within: list[bytes], found: list[str]
) -> None:
    library.show(("/r/a/1.jpg", 1), ("/r/a/deep/2.jpg", 2), ("/r/ab/3.jpg", 3), ("/r/a b/4.jpg", 4))
    assert sorted(library.paths(text("x"), within=within)) == found


def test_in_shows_the_copy_that_lies_there_and_no_other(library: Library) -> None:
    library.show(("/r/a/1.jpg", 1), ("/r/ab/1.jpg", 1), ("/s/a.jpg", 1))
    assert library.paths(text("x"), within=[b"/r/a"]) == ["/r/a/1.jpg"]


def test_pictures_that_are_equally_near_come_by_path(library: Library) -> None:
    library.show(("/r/c.jpg", 1), ("/r/a.jpg", 1001), ("/s/b.jpg", 2001))
    assert library.paths(text("x")) == ["/r/a.jpg", "/r/c.jpg", "/s/b.jpg"]


def test_the_store_itself_answers_where_memory_errs(full: Library) -> None:
    """The same hits, and without what is in memory alone."""
    full.show(("/s/copy.jpg", 3), ("/s/like.jpg", 1007))
    full.index.resident.remove(range(100_000))
    assert full.hits(text("x")) == []
    exact = full.hits(text("x"), like(7), exact=True, top=30)
    within = full.hits(text("x"), exact=True, within=[b"/s"])
    full.index.show(
        [picture for picture in range(1, 1000) if picture in full.store.vectors([picture])]
    )
    assert exact == full.hits(text("x"), like(7), top=30)
    assert within == full.hits(text("x"), within=[b"/s"])
    assert sorted(hit.path for hit in within) == [b"/s/copy.jpg", b"/s/like.jpg"]


def test_a_filter_takes_no_places_from_what_passes(full: Library) -> None:
    full.show(*[(f"/s/{number}.jpg", number) for number in range(500, 510)])
    assert len(full.paths(like(3), within=[b"/s"], top=10)) == 10


def test_offline_files_take_no_places(library: Library) -> None:
    (wanted,) = fake_embedder.FakeTexts(CARD).embed(["x"])
    best = expected(wanted, range(10))
    library.show(*[(f"/s/{number}.jpg", number) for number in best[:5]])
    library.show(*[(f"/r/{number}.jpg", number) for number in best[5:]])
    library.offline(b"/s")
    assert library.paths(text("x"), top=5) == [f"/r/{number}.jpg" for number in best[5:]]


def test_offline_files_are_left_out_unless_asked_for(library: Library) -> None:
    library.show(("/r/a.jpg", 1), ("/s/b.jpg", 2), ("/s/copy.jpg", 1))
    library.offline(b"/s")
    assert library.paths(text("x")) == ["/r/a.jpg"]
    assert library.searcher.left_out() == 2
    found = library.hits(text("x"), offline=True)
    assert {hit.path: hit.offline for hit in found} == {
        b"/r/a.jpg": False,
        b"/s/b.jpg": True,
        b"/s/copy.jpg": True,
    }
    assert library.paths(text("x"), within=[b"/s"]) == []
    assert len(library.paths(text("x"), within=[b"/s"], offline=True)) == 2


def test_the_top_is_of_files_and_stays_in_order_beyond_a_page(
    full: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FILES_AT_ONCE", 7)
    full.show(*[(f"/s/copy-{number}.jpg", number) for number in range(0, 200, 3)])
    hits = full.hits(text("x"), top=100)
    assert len(hits) == 100
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len(full.hits(text("x"), top=1)) == 1


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [text("people", -1.0)],
        [text("people", -1.0), like(1, -0.5)],
        [text("nothing", 0.0)],
        [wire.Term(weight=1.0)],
        [wire.Term(text="both", picture=b"1")],
    ],
)
def test_a_query_that_wants_nothing_is_refused(full: Library, terms: list[wire.Term]) -> None:
    with pytest.raises(UsageError):
        full.hits(*terms)


@pytest.mark.parametrize(("data", "kind"), [(b"!", UsageError), (b"-", Refused)])
def test_a_picture_that_cannot_be_read_is_said_to_be(
    full: Library, data: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="picture of the query cannot be used"):
        full.hits(wire.Term(picture=data))


def test_a_picture_that_is_not_embedded_in_time(full: Library) -> None:
    with pytest.raises(TimedOut, match="not embedded in time"):
        full.hits(wire.Term(picture=b"?"), timeout=0.01)


def test_a_large_picture_reaches_the_pipeline_whole(full: Library) -> None:
    assert full.hits(wire.Term(picture=b" " * (8 << 20) + b"7"))


def test_a_query_waits_for_the_text_tower(tmp_path: Path, library: Library) -> None:
    texts = TextTower(CARD)
    assert texts.state == "loading"
    with pytest.raises(TimedOut, match="loading"):
        texts.embed(["red"], 0.01)
    texts.start()
    assert texts.embed(["red"], 60.0)[0].shape == (DIM,)
    assert texts.state == "ready"


def test_a_text_tower_that_has_no_thread_is_loaded_later(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    texts = TextTower(CARD)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            texts.start()
    texts.start()
    assert texts.embed(["red"], 60.0)[0].shape == (DIM,)


def test_a_text_tower_that_cannot_be_loaded_says_so(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_TEST_TEXT", "fake_embedder:Missing")
    texts = TextTower(CARD)
    texts.start()
    with pytest.raises(Refused, match="cannot be loaded"):
        texts.embed(["red"], 60.0)
    assert texts.state == "failed"
    assert texts.trouble
    assert texts.trouble.hint


def test_a_text_tower_that_could_not_be_loaded_is_tried_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgqd.search.texts.AGAIN_S", 0.0)
    texts = TextTower(CARD)
    with monkeypatch.context() as patched:
        patched.setenv("IMGQ_TEST_TEXT", "fake_embedder:Missing")
        texts.start()
        with pytest.raises(Refused, match="cannot be loaded"):
            texts.embed(["red"], 60.0)
    texts.start()
    assert texts.embed(["red"], 60.0)[0].shape == (DIM,)
    assert texts.trouble is None


def test_the_vectors_of_the_latest_texts_are_remembered(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real: Callable[..., np.ndarray] = fake_embedder.FakeTexts.embed

    def counting(self: fake_embedder.FakeTexts, texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(fake_embedder.FakeTexts, "embed", counting)
    monkeypatch.setattr("imgqd.search.texts.MOST_REMEMBERED", 2)
    for words in ("a", "b", "a", "c", "a", "b"):
        library.texts.embed([words], 60.0)
    assert asked == ["a", "b", "c", "b"]
