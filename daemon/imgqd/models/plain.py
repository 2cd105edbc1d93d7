"""A text tower in operations that hold for texts of every length, for a graph of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from imgqd.models.shortened import last_token


def plain(tower: nn.Module) -> nn.Module | None:
    """The tower, from int64 (n, length) to float32 (n, dim), unit norm, its attention exchanged in
    place; None where it is not open_clip's usual one, or padding may not be cut."""
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if last_token(tower) is None or blocks is None:
        return None
    if not all(_is_usual(getattr(block, "attn", None)) for block in blocks):
        return None
    for block in blocks:
        block.attn = _Attention(block.attn)
    return _Plain(tower)


def _is_usual(attention: object) -> bool:
    return (
        type(attention) is nn.MultiheadAttention
        and attention.batch_first
        and attention.in_proj_weight is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


class _Plain(nn.Module):
    def __init__(self, tower: Any) -> None:
        super().__init__()
        self._tower, self._mask = tower, tower.attn_mask

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        self._tower.attn_mask = self._mask[:length, :length]
        answer = self._tower(tokens)
        features = answer[0] if isinstance(answer, tuple) else answer
        return functional.normalize(features, dim=-1)


class _Attention(nn.Module):
    """nn.MultiheadAttention, whose own operations hold for one length once they are written down."""

    def __init__(self, own: nn.MultiheadAttention) -> None:
        super().__init__()
        self._own = own

    def forward(
        self, query: torch.Tensor, *_: torch.Tensor, need_weights: bool, attn_mask: torch.Tensor
    ) -> tuple[torch.Tensor]:
        """Of query, key and value, which are one: float32 (n, length, width)."""
        own = self._own
        texts, length, width = query.shape
        size = width // own.num_heads
        each = functional.linear(query, own.in_proj_weight, own.in_proj_bias)
        each = each.reshape(texts, length, 3, own.num_heads, size).permute(2, 0, 3, 1, 4)
        weights = each[0] @ each[1].transpose(-1, -2) * size**-0.5 + attn_mask
        mixed = (weights.softmax(dim=-1) @ each[2]).transpose(1, 2)
        return (own.out_proj(mixed.reshape(texts, length, width)),)
