"""The model inside the package, where meaning matters: real weights, a real daemon, the sample library."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import imgq.demo
from conftest import Home
from imgq import client, wire

LIBRARY = Path(imgq.demo.__file__).parent / "library"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon with the builtin model that has indexed the sample library."""
    with pytest.MonkeyPatch.context() as patch:
        home = Home(tmp_path_factory.mktemp("builtin"), {})
        patch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
        home.start()
        home.watch(LIBRARY)
        home.settle()
        yield home
        home.stop()


def names(hits: list[wire.Hit]) -> list[str]:
    return [os.path.basename(os.fsdecode(hit.path)) for hit in hits]


def like(picture: bytes, top: int = 20) -> list[wire.Hit]:
    request = wire.Search(terms=(wire.Term(picture=picture),), top=top)
    pieces = client.stream(request, 60)
    return [hit for piece in pieces if isinstance(piece, wire.Hits) for hit in piece.hits]


def smaller(path: Path) -> bytes:
    """The picture at 60 % of its size, saved at quality 70."""
    with Image.open(path) as picture:
        size = (picture.width * 6 // 10, picture.height * 6 // 10)
        copy, out = picture.convert("RGB").resize(size), io.BytesIO()
    copy.save(out, "JPEG", quality=70)
    return out.getvalue()


def test_the_whole_sample_library_is_indexed(library: Home) -> None:
    status = library.status()
    pictures = [path for path in LIBRARY.rglob("*") if path.suffix in (".jpg", ".png", ".webp")]
    assert len(pictures) >= 200
    assert (status.index.files, status.index.failed) == (len(pictures), 0)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("red car", "red-car-on-the-road.jpg"),
        ("fox in the snow", "red-fox-in-the-snow.jpg"),
        ("palm tree on the beach", "palm-tree-on-the-beach.jpg"),
    ],
)
def test_words_find_what_they_name(library: Home, query: str, first: str) -> None:
    assert first in names(library.search(query, top=3))


def test_a_color_tells_two_cars_apart(library: Home) -> None:
    for color in ("red", "blue"):
        found = names(library.search(f"{color} car", top=223))
        # The police's has blue on it, and comes first for that.
        cars = [name for name in found if "car-" in name and not name.startswith("police-car-")]
        assert cars[0].startswith(color)


@pytest.mark.parametrize(
    ("query", "shown"),
    [("red car", "car"), ("sailboat", "boat"), ("guitar", "guitar"), ("trophy", "trophy")],
)
def test_an_answer_ends_where_the_pictures_do_not_match(
    library: Home, query: str, shown: str
) -> None:
    found = names(library.search(query, auto=True, top=223))
    assert 1 <= len(found) <= 10
    assert shown in found[0]


@pytest.mark.parametrize("query", ["abacus", "chess pawn", "floppy disk", "microscope"])
def test_what_no_picture_shows_has_no_answer(library: Home, query: str) -> None:
    done = library.imgq(query, "--min-score", "auto")
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_small_copy_finds_its_picture_first(library: Home) -> None:
    pictures = sorted(LIBRARY.rglob("*.jpg"))[::10]
    found = [names(like(smaller(path), top=1)) == [path.name] for path in pictures]
    assert sum(found) >= len(found) - 1


def test_real_pictures_are_known_again_small_or_turned(
    new_home: Callable[..., Home], shared_pictures: Path
) -> None:
    home = new_home()
    for name in ("IMGQ_TEST_EMBEDDER", "IMGQ_TEST_TEXT"):
        del home.environment[name]
    home.start()
    home.watch(shared_pictures / "photos", shared_pictures / "orientation")
    assert home.settle().index.failed == 0
    photos = sorted((shared_pictures / "photos").iterdir())[::4]
    found = [names(like(smaller(path), top=1)) == [path.name] for path in photos]
    assert sum(found) >= 0.97 * len(found)
    for path in (shared_pictures / "orientation").rglob("*.jpg"):
        kind = path.name.partition("_")[0]
        nearest = names(like(path.read_bytes(), top=8))
        assert [name for name in nearest if not name.startswith(kind)] == []
