"""The image tower on its device."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imgqd.embedder import device as devices
from imgqd.embedder.tower import OutOfMemory
from imgqd.models.card import Card


class WholeTower(nn.Module):
    """From pixels to unit vectors: uint8 (n, height, width, 3) to float32 (n, dim)."""

    def __init__(self, card: Card, where: devices.Device, tower: nn.Module) -> None:
        super().__init__()
        # Pixels come as height, width, channel: the layout that convolutions are fastest in anyway.
        layout = torch.preserve_format if where.kind == "mps" else torch.channels_last
        self._tower = tower.to(where.kind, where.dtype).to(memory_format=layout)
        self._dtype = where.dtype
        std = torch.tensor(card.std, device=where.kind)
        self._scale = (1 / (255 * std)).view(3, 1, 1)
        self._shift = (-torch.tensor(card.mean, device=where.kind) / std).view(3, 1, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        batch = pixels.permute(0, 3, 1, 2).float()
        features = self._tower((batch * self._scale + self._shift).to(self._dtype))
        if isinstance(features, tuple):
            features = features[0]
        return nn.functional.normalize(features.float(), dim=-1)


class ImageTower:
    """Embeds pictures as open_clip's encode_image does, normalized, on one device."""

    engine = "torch"

    def __init__(self, card: Card, where: devices.Device, tower: nn.Module) -> None:
        self.dim = card.dim
        self.device = where.kind
        self.precision = where.precision
        self.batch = where.batch(card.pixels)
        self.trouble: str | None = None
        # As a whole, or exporting it would turn its parts back to training.
        self.whole = WholeTower(card, where, tower).eval()

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, height, width, 3) to float32 (n, dim), unit norm. Raises OutOfMemory."""
        try:
            with torch.inference_mode():
                seen = torch.from_numpy(pixels)
                if self.device == "cuda":
                    # A copy out of pinned memory runs at the bus's full speed.
                    seen = seen.pin_memory()
                found: np.ndarray = (
                    self.whole(seen.to(self.device, non_blocking=True)).cpu().numpy()
                )
                return found
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            self._release()
            raise OutOfMemory from error

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
