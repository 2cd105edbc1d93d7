"""Thumbnails for answers: of known files alone, in order, and the latest of them kept on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from conftest import Home
from imgq import client, wire
from imgqd.thumbnails import Drawer
from library import ESCAPE, LARGE, library
from pictures import jpeg

JPEG = b"\xff\xd8\xff%s\xff\xd9"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("thumbnails")) as home:
        yield home


def asked(home: Home, *paths: Path, longest: int = 64, form: str = "jpeg") -> list[bytes | None]:
    request = wire.AskThumbnails(paths=tuple(map(os.fsencode, paths)), longest=longest, form=form)
    replies = client.stream(request, 60.0)
    return [reply.picture for reply in replies if isinstance(reply, wire.Thumbnail)]


def kept(home: Home) -> dict[str, bytes]:
    folder = home.folder / "home" / "index" / "thumbnails"
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def color(picture: bytes | None) -> tuple[int, ...]:
    assert picture
    image = Image.open(BytesIO(picture)).convert("RGB")
    assert max(image.size) == 64
    red, green, blue = image.resize((1, 1)).tobytes()
    return red // 64, green // 64, blue // 64


def test_one_a_path_in_their_order_and_none_of_what_is_not_known(home: Home) -> None:
    outside = jpeg(home.folder / "outside.jpg", "red")
    names = ["blue.jpg", "note.txt", ESCAPE, LARGE, "red.jpg", "nowhere.jpg"]
    paths = [home.pictures / name for name in names]
    found = asked(home, outside, *paths * 5)
    assert found[0] is None
    for blue, note, pink, large, red, nowhere in zip(*[iter(found[1:])] * 6, strict=True):
        assert (color(blue), color(red), color(pink)) == ((0, 0, 3), (3, 0, 0), (3, 2, 2))
        assert note is large is nowhere is None


def test_bare_pixels_for_whoever_has_no_decoder(home: Home) -> None:
    (plain,) = asked(home, home.pictures / "blue.jpg", form="ppm")
    assert plain
    assert plain.startswith(b"P6\n64 48\n255\n")
    assert len(plain) == 13 + 64 * 48 * 3
    (plain,) = asked(home, home.pictures / "camera.png", longest=16, form="ppm")
    assert plain
    assert plain.startswith(b"P6\n16 12\n255\n")


def test_the_latest_are_kept_and_private(home: Home) -> None:
    path = jpeg(home.pictures / "kept.jpg", "white")
    home.settle()
    name = f"{home.indexed()[path].removeprefix('xxh3:')}-64.jpg"
    before = set(kept(home))
    (drawn,) = asked(home, path)
    assert {name: drawn} == {each: kept(home)[each] for each in set(kept(home)) - before}
    folder = home.folder / "home" / "index" / "thumbnails"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    other = JPEG % b"another"
    (folder / name).write_bytes(other)
    assert asked(home, path) == [other]
    (folder / name).write_bytes(other[:-1])
    assert asked(home, path) == [drawn]


def test_what_is_drawn_of_other_bytes_is_not_kept_for_these(home: Home) -> None:
    path = jpeg(home.pictures / "changing.jpg", "green")
    home.settle()
    known = home.indexed()[path].removeprefix("xxh3:")
    jpeg(path, "red")
    asked(home, path)
    home.settle()
    assert home.indexed()[path].removeprefix("xxh3:") != known
    assert f"{known}-64.jpg" not in kept(home)


def test_a_drawer_keeps_what_was_asked_for_last(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path / "drawer", most=1000)
    for number in range(9):
        drawer.put(bytes([number]) * 16, 64, JPEG % (b"x" * 95))
        os.utime(tmp_path / "drawer" / f"{bytes([number]).hex() * 16}-64.jpg", (number, number))
    assert drawer.get(b"\0" * 16, 64)
    drawer.put(b"\x09" * 16, 64, JPEG % (b"x" * 105))
    left = {number for number in range(10) if drawer.get(bytes([number]) * 16, 64)}
    assert left == {0, 4, 5, 6, 7, 8, 9}
    assert sum(path.stat().st_size for path in (tmp_path / "drawer").iterdir()) == 710
    again = Drawer(tmp_path / "drawer", most=500)
    again.put(b"\x0b" * 16, 64, JPEG % b"")
    assert sum(path.stat().st_size for path in (tmp_path / "drawer").iterdir()) <= 375


def test_a_drawer_that_cannot_be_opened_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    drawer = Drawer(tmp_path / "file")
    drawer.put(b"\0" * 16, 64, JPEG % b"")
    assert drawer.get(b"\0" * 16, 64) is None
