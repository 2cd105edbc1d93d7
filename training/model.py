"""The builtin model: open_clip's own architecture, after the JSON file beside the weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import open_clip
import torch
from open_clip import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "daemon/imgqd/models/builtin"
NAME = "imgq-builtin"
WEIGHTS = FOLDER / "weights.safetensors"
SIZE: int = json.loads((FOLDER / f"{NAME}.json").read_bytes())["vision_cfg"]["image_size"]
TABLE = "token_embedding.weight"
MEAN = torch.tensor(open_clip.OPENAI_DATASET_MEAN)[:, None, None]
STD = torch.tensor(open_clip.OPENAI_DATASET_STD)[:, None, None]


def seen(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) in 0..1 as the image tower takes them, in its fastest layout."""
    return ((pictures - MEAN) / STD).to(memory_format=torch.channels_last)


def create() -> CLIP:
    open_clip.add_model_config(FOLDER / f"{NAME}.json")
    return open_clip.create_model(NAME)


def load(path: Path = WEIGHTS) -> CLIP:
    model = create()
    model.load_state_dict(
        {name: _wide(part) for name, part in load_file(path).items()}, strict=True
    )
    return model.eval()


def save(model: CLIP, words: Words, path: Path = WEIGHTS) -> None:
    """float16, written beside and renamed."""
    beside = path.with_suffix(".part")
    parts = model.state_dict()
    parts[TABLE] = words.widened(parts[TABLE])
    save_file(
        {name: _narrow(part) for name, part in parts.items()}, beside, metadata={"format": "pt"}
    )
    beside.chmod(0o644)  # safetensors writes for its owner alone
    beside.rename(path)


class Words:
    """The tokens that captions have. The table of a model that learns holds no others.

    The rest are zero in the weights: a word never learned means nothing.
    """

    def __init__(self, model: CLIP, tokens: Iterable[int]) -> None:
        table = model.token_embedding.weight
        self.used = torch.tensor(sorted(tokens))
        self.count = len(table)
        self.row = torch.zeros(self.count, dtype=torch.long)
        self.row[self.used] = torch.arange(len(self.used))
        model.token_embedding = nn.Embedding.from_pretrained(
            table[self.used].detach(), freeze=False
        )

    def rows(self, tokens: Tensor) -> Tensor:
        """Their rows in the small table; in the same order, so that the end still is the highest."""
        return self.row[tokens]

    def widened(self, table: Tensor) -> Tensor:
        whole = torch.zeros(self.count, table.shape[1])
        whole[self.used] = table
        return whole


def _narrow(part: Tensor) -> Tensor:
    return (part.half() if part.is_floating_point() else part).contiguous().cpu()


def _wide(part: Tensor) -> Tensor:
    return part.float() if part.is_floating_point() else part
