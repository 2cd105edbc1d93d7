"""The image tower on its device."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imgq.errors import Failure
from imgqd.embedder import device as devices
from imgqd.embedder.tower import CannotLoad, Configuration, OutOfMemory
from imgqd.models import hub, towers
from imgqd.models.card import Card


def open_image_tower(configuration: Configuration) -> ImageTower:
    """Loads the tower. Raises CannotLoad."""
    hub.shut()
    devices.use_cores(configuration.threads)
    where = devices.choose(configuration.device, configuration.precision)
    try:
        tower = towers.load(configuration.card, "visual")
        return ImageTower(configuration.card, where, tower)
    except (Failure, OSError, RuntimeError, MemoryError) as error:
        name = configuration.card.name
        why = f"{error.message}; {error.hint}" if isinstance(error, Failure) else str(error)
        raise CannotLoad(f"{name} cannot be loaded on {where.kind}: {why}") from error


class ImageTower:
    """Embeds pictures as open_clip's encode_image does, normalized, on one device."""

    def __init__(self, card: Card, where: devices.Device, tower: nn.Module) -> None:
        self.dim = card.dim
        self.device = where.kind
        self.precision = where.precision
        self.batch = where.batch(card.pixels)
        self._dtype = where.dtype
        # Pixels come as height, width, channel: the layout that convolutions are fastest in anyway.
        layout = torch.preserve_format if where.kind == "mps" else torch.channels_last
        self._tower = tower.to(where.kind, where.dtype).to(memory_format=layout)
        std = torch.tensor(card.std, device=where.kind)
        self._scale = (1 / (255 * std)).view(3, 1, 1)
        self._shift = (-torch.tensor(card.mean, device=where.kind) / std).view(3, 1, 1)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, height, width, 3) to float32 (n, dim), unit norm. Raises OutOfMemory."""
        try:
            with torch.inference_mode():
                return self._embed(torch.from_numpy(pixels))
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            self._release()
            raise OutOfMemory from error

    def _embed(self, pixels: torch.Tensor) -> np.ndarray:
        batch = pixels.to(self.device).permute(0, 3, 1, 2).float()
        features = self._tower((batch * self._scale + self._shift).to(self._dtype))
        if isinstance(features, tuple):
            features = features[0]
        return nn.functional.normalize(features.float(), dim=-1).cpu().numpy()

    def _release(self) -> None:
        if self.device == "cuda":
            torch.cuda.empty_cache()
        elif self.device == "mps":
            torch.mps.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    said = str(error).lower()
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
    )
