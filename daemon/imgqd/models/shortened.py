"""Texts without their padding: most of a query's 77 tokens, and so most of the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Place = Callable[[torch.Tensor], torch.Tensor]


class Shortened:
    """A text tower of open_clip's that is given no more tokens than its answer comes from, where that
    changes nothing: a causal tower that answers from one token never sees what comes after it."""

    def __init__(self, tower: nn.Module) -> None:
        self._tower = tower
        self._last = last_token(tower)
        self._mask = getattr(tower, "attn_mask", None)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 (n, length) to (n, dim); by one thread at a time."""
        if self._last is not None and self._mask is not None:
            length = int(self._last(tokens).max()) + 1
            tokens = tokens[:, :length]
            self._tower.attn_mask = self._mask[:length, :length]
        answer: Any = self._tower(tokens)
        features: torch.Tensor = answer[0] if isinstance(answer, tuple) else answer
        return features


def last_token(tower: Any) -> Place | None:
    """Which token of each text a causal tower answers from; None where it must not be cut."""
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return None
    if tower.pool_type == "argmax":
        return lambda tokens: tokens.argmax(dim=-1)
    if tower.pool_type == "eos":
        return lambda tokens: tokens.eq(tower.eos_id).int().argmax(dim=-1)
    return None
