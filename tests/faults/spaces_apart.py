"""Models whose spaces have nothing in common: whatever is mixed scores 0, or fails.

Each model has the fake's vectors in its own half of the numbers. What goes wrong with one is told by a
file beside its card, in the folder of models, for as long as it lies there:

    NAME.waits    nothing is embedded
    NAME.fails    the image tower cannot be loaded
    NAME.mute     the text tower cannot be loaded
    NAME.blind    no picture of mostly red gets a vector
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import fake_embedder
from imgq.errors import Refused
from imgqd.embedder import process
from imgqd.embedder.tower import CannotLoad, Configuration
from imgqd.models import card as cards
from imgqd.models.card import Card
from imgqd.records import PixelSpec

# The second is as long as builtin, which is in the other half; the third is not.
DIMS = {"second": 256, "third": 48}
BEAT_S = 0.02


def add_cards(home: Path) -> None:
    """The models that a home has beside builtin."""
    folder = home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    builtin = cards.builtin()
    assert builtin is not None
    for name, dim in DIMS.items():
        weights = folder / f"{name}.safetensors"
        weights.write_text(name)
        card = replace(
            builtin,
            name=name,
            identity=name,
            dim=dim,
            weights=str(weights),
            pixels=PixelSpec(40, 32, "squash"),
        )
        content = {"version": cards.VERSION, "bytes": len(name), "card": asdict(card)}
        (folder / f"{name}.json").write_text(json.dumps(content))


def tell(home: Path, name: str, what: str, is_so: bool = True) -> None:
    place = home / "models" / f"{name}.{what}"
    if is_so:
        place.touch()
    else:
        place.unlink(missing_ok=True)


def _is(card: Card, what: str) -> bool:
    return (Path(os.environ["IMGQ_HOME"]) / "models" / f"{card.name}.{what}").exists()


def placed(card: Card, found: np.ndarray) -> np.ndarray:
    """float32 (n, dim / 2) in the model's own half of (n, dim)."""
    half = card.dim // 2
    start = half if card.name == "second" else 0
    whole = np.zeros((len(found), card.dim), np.float32)
    whole[:, start : start + half] = found
    return whole


class Tower(fake_embedder.FakeTower):
    def __init__(self, configuration: Configuration) -> None:
        if _is(configuration.card, "fails"):
            raise CannotLoad("its weights make no sense")
        super().__init__(configuration)
        self._card = configuration.card
        self.dim = self._card.dim // 2

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        while _is(self._card, "waits"):
            time.sleep(BEAT_S)
        self.dim = self._card.dim // 2
        found = placed(self._card, super().embed(pixels))
        self.dim = self._card.dim
        if _is(self._card, "blind"):
            means = pixels.mean(axis=(1, 2))
            found[means[:, 0] > means[:, 1:].max(axis=1) + 50] = np.nan
        return found


class _Whole(Tower):
    """What the embedder's loop asks before the first picture."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self.dim = configuration.card.dim


class Texts:
    def __init__(self, card: Card) -> None:
        if _is(card, "mute"):
            raise Refused("its words make no sense")
        self.dim = card.dim
        self._card = card
        self._half = fake_embedder.FakeTexts(replace(card, dim=card.dim // 2))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return placed(self._card, self._half.embed(texts))


if __name__ == "__main__":
    process.main(_Whole)
