"""Only files under roots are ever shown, though what the index knows by a path is something else by now."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from imgqd.embedder.asking import Asker
from imgqd.embedder.disks import Disks
from imgqd.embedder.jobs import ThumbnailOf
from imgqd.embedder.memory import Memory
from imgqd.library.scan import leads_elsewhere
from imgqd.pictures.handle import Decoder
from imgqd.records import Failure, PixelSpec
from pictures import jpeg

Show = Callable[[Path], bytes | Failure]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(PixelSpec(8, 8), 1)
    yield decoder
    decoder.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture in a folder of it, and one of the same name outside."""
    for folder in ("root/album", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    jpeg(tmp_path / "root/album/a.jpg", 1)
    jpeg(tmp_path / "outside/a.jpg", 2)
    return tmp_path / "root"


@pytest.fixture
def show(root: Path, decoder: Decoder) -> Show:
    """A thumbnail, or why there is none."""

    def elsewhere(path: bytes) -> bool:
        return leads_elsewhere(os.fsencode(root), os.path.dirname(path))

    def nothing(_: object) -> Any:
        raise AssertionError("a thumbnail needs no store")

    memory = Memory(nothing, nothing, nothing, False, leads_elsewhere=elsewhere)
    asker = Asker(memory, Disks(memory), queue.PriorityQueue())

    def shown(path: Path) -> bytes | Failure:
        work = ThumbnailOf(os.fsencode(path), 64)
        asker.thumbnail(cast(Any, decoder), work)
        return work.answer.result(0)

    return shown


def test_a_thumbnail_of_what_the_index_knows(root: Path, show: Show) -> None:
    assert isinstance(show(root / "album/a.jpg"), bytes)


def test_no_thumbnail_through_a_folder_that_became_a_link(root: Path, show: Show) -> None:
    (root / "album").rename(root / "before")
    (root / "album").symlink_to(root.parent / "outside")
    assert isinstance(show(root / "album/a.jpg"), Failure)


def test_no_thumbnail_of_a_file_that_became_a_link(root: Path, show: Show) -> None:
    (root / "album/a.jpg").unlink()
    (root / "album/a.jpg").symlink_to(root.parent / "outside/a.jpg")
    assert isinstance(show(root / "album/a.jpg"), Failure)


@pytest.mark.parametrize("what", ["fifo", "folder"])
def test_no_thumbnail_of_what_is_no_file(root: Path, show: Show, what: str) -> None:
    path = root / "album/a.jpg"
    path.unlink()
    os.mkfifo(path) if what == "fifo" else path.mkdir()
    found = show(path)
    assert isinstance(found, Failure)
    assert "something else is there" in found.reason
