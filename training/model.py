"""The builtin model: open_clip's own architecture, after the JSON file beside the weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import open_clip
import torch
from open_clip import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "daemon/imgqd/models/builtin"
NAME = "imgq-builtin"
WEIGHTS = FOLDER / "weights.safetensors"
MEAN = torch.tensor(open_clip.OPENAI_DATASET_MEAN)[:, None, None]
STD = torch.tensor(open_clip.OPENAI_DATASET_STD)[:, None, None]


def seen(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, 64, 64) in 0..1 as the image tower takes them, in its fastest layout."""
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


def save(model: CLIP, path: Path = WEIGHTS) -> None:
    """float16, written beside and renamed."""
    beside = path.with_suffix(".part")
    parts = {name: _narrow(part) for name, part in model.state_dict().items()}
    save_file(parts, beside, metadata={"format": "pt"})
    beside.chmod(0o644)  # safetensors writes for its owner alone
    beside.rename(path)


def forget_unused(model: CLIP, tokens: Iterable[int]) -> None:
    """Zeroes the rows of tokens that no caption has: a word never learned then means nothing.

    They stay zero: their gradient is zero, and so is the decay of zero.
    """
    table = model.token_embedding.weight
    used = torch.zeros(len(table), 1)
    used[list(tokens)] = 1
    with torch.no_grad():
        table.mul_(used)


def _narrow(part: Tensor) -> Tensor:
    return (part.half() if part.is_floating_point() else part).contiguous().cpu()


def _wide(part: Tensor) -> Tensor:
    return part.float() if part.is_floating_point() else part
