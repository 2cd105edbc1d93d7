"""Photographs to index, of any number and size, and a model to embed them with."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from PIL import Image

ARCHITECTURE = "ViT-B-32-256"
SEED = 0
WARMING = 8


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))


def make(photos: Path, folder: Path, count: int, megapixels: float) -> None:
    """The pictures, and the first few again, of another size, for warming. Scaled up, there may be any
    number."""
    there = files(photos)
    for name in ("warming", "pictures"):
        (folder / name).mkdir()
    for number in range(WARMING):
        _enlarge(there[number], folder / "warming" / f"{number}.jpg", number, megapixels or 0.1)
    for number in range(count):
        place = folder / "pictures" / f"{number:05}.jpg"
        if megapixels:
            _enlarge(there[number % len(there)], place, WARMING + number, megapixels)
        else:
            shutil.copyfile(there[number], place)


def _enlarge(photo: Path, place: Path, number: int, megapixels: float) -> None:
    with Image.open(photo) as image:
        small = image.convert("RGB")
    # One pixel tells copies apart that are of the same photo.
    small.putpixel((0, 0), (number % 256, number // 256, 0))
    factor = (megapixels * 1e6 / (small.width * small.height)) ** 0.5
    size = (round(small.width * factor), round(small.height * factor))
    small.resize(size, Image.Resampling.BICUBIC).save(place, quality=90)


def write_weights(place: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    model = open_clip.create_model(ARCHITECTURE)
    for parameter in model.parameters():
        # As made, towers give all pictures nearly the same vector.
        parameter.data += 0.02 * torch.randn_like(parameter)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, place)
