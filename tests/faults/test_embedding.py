"""From a path to a recorded embedding, whatever happens meanwhile: a real daemon, and a fake embedder that
counts its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import xxhash

from conftest import Home, until
from pictures import jpeg

NewHome = Callable[..., Home]


def fill(folder: Path, count: int, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """That many pictures, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    return [jpeg(folder / f"{number}.jpg", number, size) for number in range(count)]


def truth(folder: Path) -> dict[Path, str]:
    """Every picture under a folder with the hash of its bytes, as the index should have it."""
    paths = [path for path in folder.rglob("*.jpg") if path.is_file()]
    return {path: f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}" for path in paths}


def test_fault_02_a_folder_renamed_amid_its_embedding_is_embedded_once(new_home: NewHome) -> None:
    home = new_home(slow=0.1).start()
    folder = home.pictures / "0"
    fill(folder, 300)
    home.watch()
    for number in range(1, 4):
        until(lambda number=number: home.embedded() >= 60 * number, "some embeddings")
        folder = folder.rename(home.pictures / str(number))
    status = home.settle()
    assert home.indexed() == truth(home.pictures)
    assert (home.embedded(), status.counters.embedded, status.index.files) == (300, 300, 300)


def test_fault_02_files_that_go_amid_their_embedding_come_back_for_nothing(
    new_home: NewHome,
) -> None:
    home = new_home(slow=0.5).start()
    paths = fill(home.pictures, 48)
    kept = [path.read_bytes() for path in paths]
    home.watch()
    until(home.embedded, "the first batch")
    for path in paths:
        path.unlink()
    home.settle()
    assert home.indexed() == {}
    for path, data in zip(paths, kept, strict=True):
        path.write_bytes(data)
    home.settle()
    assert home.indexed() == truth(home.pictures)
    assert home.embedded() == 48
