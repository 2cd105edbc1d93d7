"""The one fake of the test suite: an embedder without torch, and text vectors to go with it.

`environment(counter)` has the daemon's children use it. A picture's vector is its grid of 8 x 8
mean colors, less mid grey, turned into `dim` numbers by a fixed matrix: like pictures have like
vectors. A text is a picture of the colors it names ("a red car" is a red picture); any other text has
a vector of its own. What it is told to do wrong comes from the environment, each for one process:

    IMGQ_TEST_EMBEDDER_COUNT   a file that gets a line "pid batch" for each picture embedded
    IMGQ_TEST_EMBEDDER_SLOW    seconds that each batch takes
    IMGQ_TEST_EMBEDDER_DIE     dies on this batch, 1 the first; once only (a mark beside the counter
                               file is kept), or with a "+" behind the number in each process
    IMGQ_TEST_EMBEDDER_NAN     this picture's vector is not a number, 1 the first
    IMGQ_TEST_EMBEDDER_INF     this one's is infinite
    IMGQ_TEST_EMBEDDER_ZERO    this one's is zero
    IMGQ_TEST_EMBEDDER_SHORT   the vectors of this batch are a number short
    IMGQ_TEST_EMBEDDER_MEMORY  more pictures than this at a time are out of memory
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgqd.embedder import process
from imgqd.embedder.tower import Configuration, OutOfMemory
from imgqd.models.card import Card

GRID = 8
COLORS = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (40, 60, 220),
    "yellow": (240, 220, 40),
    "orange": (250, 140, 30),
    "purple": (130, 40, 170),
    "pink": (250, 150, 190),
    "brown": (120, 75, 40),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


def environment(counter: Path | None = None, **faults: object) -> dict[str, str]:
    """Variables that have a daemon use the fake; faults: slow, die, nan, inf, zero, short, memory."""
    here = str(Path(__file__).parent)
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        "IMGQ_TEST_EMBEDDER": "fake_embedder",
        "IMGQ_TEST_TEXT": "fake_embedder:FakeTexts",
    }
    if counter is not None:
        variables["IMGQ_TEST_EMBEDDER_COUNT"] = str(counter)
    return variables | {
        f"IMGQ_TEST_EMBEDDER_{name.upper()}": str(value) for name, value in faults.items()
    }


def embedded(counter: Path) -> int:
    """How many pictures have been embedded so far, by all processes."""
    return len(counter.read_text().splitlines()) if counter.exists() else 0


def vectors(pixels: np.ndarray, dim: int) -> np.ndarray:
    """uint8 (n, height, width, 3) to float32 (n, dim), unit norm."""
    rows = np.array_split(np.arange(pixels.shape[1]), GRID)
    columns = np.array_split(np.arange(pixels.shape[2]), GRID)
    means = [
        pixels[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean(axis=(1, 2))
        for r in rows
        for c in columns
    ]
    return _turned(np.concatenate(means, axis=1), dim)


class FakeTower:
    """Speaks for itself: see the top of this file."""

    device = "cpu"
    precision = "f32"
    batch = 16
    engine = "fake"
    trouble = None

    def __init__(self, configuration: Configuration) -> None:
        self.dim = configuration.card.dim
        self._batches = 0
        self._pictures = 0

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > int(_told("MEMORY") or len(pixels)):
            raise OutOfMemory
        self._batches += 1
        self._maybe_die()
        time.sleep(float(_told("SLOW") or 0))
        found = vectors(pixels, self.dim)
        self._spoil(found)
        self._pictures += len(pixels)
        self._count(len(pixels))
        return found[:, 1:] if self._batches == int(_told("SHORT") or 0) else found

    def _spoil(self, found: np.ndarray) -> None:
        for name, value in (("NAN", np.nan), ("INF", np.inf), ("ZERO", 0)):
            wrong = int(_told(name) or 0) - self._pictures - 1
            if 0 <= wrong < len(found):
                found[wrong] = value

    def _maybe_die(self) -> None:
        told = _told("DIE")
        if not told or self._batches != int(told.rstrip("+")):
            return
        if not told.endswith("+"):
            mark = Path(_told("COUNT") + ".died")
            if mark.exists():
                return
            mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def _count(self, pictures: int) -> None:
        if place := _told("COUNT"):
            with open(place, "a") as file:
                file.write(f"{os.getpid()} {self._batches}\n" * pictures)


class FakeTexts:
    """The text tower that goes with it."""

    def __init__(self, card: Card) -> None:
        self.dim = card.dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        found = [self._one(text) for text in texts]
        return np.stack(found) if found else np.empty((0, self.dim), np.float32)

    def _one(self, text: str) -> np.ndarray:
        colors = [COLORS[word] for word in text.lower().split() if word in COLORS]
        found = self._colored(colors) if colors else self._other(text)
        vector: np.ndarray = found[0]
        return vector

    def _colored(self, colors: list[tuple[int, int, int]]) -> np.ndarray:
        picture = np.broadcast_to(np.mean(colors, axis=0), (1, GRID, GRID, 3))
        return vectors(picture, self.dim)

    def _other(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return _unit(np.random.default_rng(seed).standard_normal((1, self.dim)))


def _turned(colors: np.ndarray, dim: int) -> np.ndarray:
    matrix = np.random.default_rng(0).standard_normal((colors.shape[1], dim))
    return _unit((colors - 127.5) @ matrix)


def _unit(values: np.ndarray) -> np.ndarray:
    unit: np.ndarray = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _told(what: str) -> str:
    return os.environ.get(f"IMGQ_TEST_EMBEDDER_{what}", "")


if __name__ == "__main__":
    process.main(FakeTower)
