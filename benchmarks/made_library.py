"""A library of a million pictures that nobody took: small JPEGs on disk, and an index that knows them.

    python -m benchmarks.made_library --pictures 1000000 --folder build/bench/library

Each file is a JPEG of 8 by 8 pixels with a number in it, so that no two are alike; a thousand lie in a
folder. Rows, vectors and metadata are made up (`benchmarks/worlds.py`), and go through the store's own
commits with the files' true stamps and hashes: a daemon finds nothing to embed. What is there from before
is gone on from.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from contextlib import suppress
from pathlib import Path

import xxhash
from PIL import Image

from benchmarks.worlds import World
from imgq.paths import places
from imgqd.health.opening import open_index
from imgqd.library.recognition import glance
from imgqd.models import card as cards
from imgqd.models.card import Card
from imgqd.records import Indexed, Metadata, Notes, Stamp
from imgqd.search import cache
from imgqd.store import Store

IN_A_FOLDER = 1000
AT_ONCE = 5000
# A photograph of a second ago would be one that is still written.
AGE_S = 86400
PHOTO = Metadata("JPEG", 4032, 3024, Notes(taken_at="2025-03-01T10:11:12", camera="Leica Q3"))


def at(folder: Path) -> Path:
    """The folder with the pictures of a library; its home is where IMGQ_HOME says from now on."""
    # A root is a path from / on, wherever one has called it from.
    folder = folder.absolute()
    os.environ["IMGQ_HOME"] = str(folder / "home")
    return folder / "pictures"


def path_of(root: Path, number: int) -> Path:
    return root / f"{number // IN_A_FOLDER}" / f"{number}.jpg"


def grow(folder: Path, pictures: int, until: float | None = None) -> float | None:
    """Makes files and their rows until there are so many, or the monotonic clock says `until`;
    microseconds a row, None where there is nothing to be made."""
    root = at(folder)
    root.mkdir(parents=True, exist_ok=True)
    store = _opened(root)
    first = start = store.counts().files
    world, model = World(store.model.dim, seed=1 + first), _template()
    took = 0.0
    while start < pictures and (until is None or time.monotonic() < until):
        numbers = range(start, min(start + AT_ONCE, pictures))
        vectors = world.pictures(len(numbers))
        changes = [
            Indexed(*_made(root, number, model), True, PHOTO, vector)
            for number, vector in zip(numbers, vectors, strict=True)
        ]
        began = time.monotonic()
        store.commit(changes, time.time())
        took += time.monotonic() - began
        start = numbers.stop
    store.close()
    return took / (start - first) * 1e6 if start > first else None


def write_cache(folder: Path) -> float:
    """As the daemon does in a calm moment, that a start finds it; seconds."""
    at(folder)
    began = time.monotonic()
    index = open_index(Path(places().store), lambda store: _card())
    index.resident.refine()
    cache.save(index.store, index.resident.snapshot(), index.store.sums())
    index.store.close()
    return time.monotonic() - began


def _card() -> Card:
    card = cards.builtin()
    assert card is not None, "the builtin model is not in the package"
    return card


def _opened(root: Path) -> Store:
    path, card = Path(places().store), _card()
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Store.open(path, "made up")
    store.use_model(card.identity, card.name, card.dim)
    store.add_root(os.fsencode(root), glance(os.fsencode(root)).identity)
    return store


def _template() -> bytes:
    small = io.BytesIO()
    Image.new("L", (8, 8), 128).save(small, "JPEG", optimize=True)
    return small.getvalue()


def _made(root: Path, number: int, template: bytes) -> tuple[bytes, Stamp, bytes]:
    """A file's path, its stamp, and the hash of its bytes; the number stands in a comment."""
    comment = b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big")
    data = template[:2] + comment + template[2:]
    path = os.fsencode(path_of(root, number))
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(path))
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    os.pwrite(descriptor, data, 0)
    long_ago = time.time() - AGE_S
    os.utime(descriptor, (long_ago, long_ago))
    stamp = Stamp.of(os.fstat(descriptor))
    os.close(descriptor)
    return path, stamp, xxhash.xxh3_128_digest(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="for the library; it stays")
    parser.add_argument("--seconds", type=float, help="stop after so long; another run goes on")
    told = parser.parse_args()
    until = None if told.seconds is None else time.monotonic() + told.seconds
    print(grow(told.folder, told.pictures, until))


if __name__ == "__main__":
    main()
