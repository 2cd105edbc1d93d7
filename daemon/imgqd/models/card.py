"""Cards: what the daemon must know of a model before torch is loaded, a JSON file each.

A card in the models folder says that the model's weights were there and fitted its architecture.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imgqd import private_file
from imgqd.models.presets import BUILTIN, BUILTIN_ARCHITECTURE, BUILTIN_SHA256
from imgqd.records import PixelSpec

VERSION = 2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?")
BUILTIN_FOLDER = Path(__file__).with_name("builtin")
# open_clip's normalization where no pretrained tag says otherwise (open_clip/constants.py).
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

Color = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Card:
    """One model. Vectors of two cards are comparable where, and only where, `identity` is equal.

    name: as the user says it. architecture, tag: open_clip's. weights: absolute path of a
    safetensors file. sha256: of that file, in hex, as it came; no other is loaded. dim: length of its
    vectors. pixels: what a decoder hands over; then, by channel, (value / 255 - mean) / std.
    tokenizer_from: the hub's repository of its tokenizer, None for CLIP's own; tokenizer: the folder of
    its files, None until they are there.
    """

    name: str
    architecture: str
    tag: str | None
    weights: str
    sha256: str
    identity: str
    dim: int
    pixels: PixelSpec
    mean: Color
    std: Color
    context_length: int
    quick_gelu: bool = False
    tokenizer_from: str | None = None
    tokenizer: str | None = None

    @property
    def complete(self) -> bool:
        return self.tokenizer_from is None or self.tokenizer is not None

    def as_map(self) -> dict[str, Any]:
        """Plain maps, lists and values, for JSON and msgpack."""
        return asdict(self)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Card:
        """Raises KeyError, TypeError or ValueError where that is no card."""
        card = cls(**{**values, "pixels": PixelSpec(**values["pixels"])})
        return replace(card, mean=_color(card.mean), std=_color(card.std))


def load(models: str | Path, name: str) -> Card | None:
    """The card of a model whose weights are on disk, else None. Loads no torch."""
    if name == BUILTIN:
        return builtin()
    if not NAME.fullmatch(name):
        return None
    try:
        content = json.loads(path_of(models, name).read_bytes())
        card = _written(content)
        whole = card is not None and os.stat(card.weights).st_size == content["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return card if whole else None


def recorded(models: str | Path, name: str) -> Card | None:
    """The card that was written last, whether or not its weights are still on disk."""
    try:
        return _written(json.loads(path_of(models, name).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _written(content: Any) -> Card | None:
    return Card.from_map(content["card"]) if content["version"] == VERSION else None


def save(models: str | Path, card: Card) -> None:
    """Writes the card: from then on the model is there. Raises OSError."""
    content = {
        "version": VERSION,
        "bytes": os.stat(card.weights).st_size,
        "card": card.as_map(),
    }
    private_file.put(path_of(models, card.name), json.dumps(content, indent=1))


def names(models: str | Path) -> list[str]:
    """The names that have a card, sorted."""
    return sorted(path.stem.replace("@", "/") for path in Path(models).glob("[!.]*.json"))


def path_of(models: str | Path, name: str) -> Path:
    # No name has an "@", so no two names share a file.
    return Path(models) / f"{name.replace('/', '@')}.json"


def builtin() -> Card | None:
    """The card of the model inside the package; None where its weights are not."""
    weights = BUILTIN_FOLDER / "weights.safetensors"
    if not weights.is_file():
        return None
    config = json.loads((BUILTIN_FOLDER / f"{BUILTIN_ARCHITECTURE}.json").read_bytes())
    size = config["vision_cfg"]["image_size"]
    card = Card(
        name=BUILTIN,
        architecture=BUILTIN_ARCHITECTURE,
        tag=None,
        weights=str(weights),
        sha256="",
        identity="",
        dim=config["embed_dim"],
        pixels=PixelSpec(size, size),
        mean=OPENAI_MEAN,
        std=OPENAI_STD,
        context_length=config["text_cfg"]["context_length"],
    )
    return identified(card, BUILTIN_SHA256)


def identified(card: Card, digest: str) -> Card:
    """The card with the weights' SHA-256, and its identity: all that decides a vector, over that."""
    recipe = [digest, asdict(card.pixels), card.mean, card.std, card.quick_gelu]
    total = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return replace(card, sha256=digest, identity=f"{card.architecture}@{total[:32]}")


def _color(values: Any) -> Color:
    red, green, blue = values
    return float(red), float(green), float(blue)
