"""A model's tokenizer: CLIP's own, which open_clip brings, or one of transformers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgq.errors import ModelMissing
from imgqd.models import architecture, lean
from imgqd.models.card import Card
from imgqd.models.pull import require_transformers

with lean.uncompiled():
    import open_clip

if TYPE_CHECKING:
    import torch

Tokenizer = Callable[[list[str]], "torch.Tensor"]


def tokenizer(card: Card) -> Tokenizer:
    """Texts to int64 (n, context_length), padded. Raises Refused, ModelMissing."""
    if card.tokenizer_from is None:
        own: Tokenizer = open_clip.get_tokenizer(
            card.architecture, context_length=card.context_length
        )
        return own
    require_transformers(card)
    if card.tokenizer is None:
        raise ModelMissing(
            f"the tokenizer of {card.name} is not on disk",
            f"`imgq model pull {card.name}` fetches it",
        )
    text = architecture.config(card.architecture)["text_cfg"]
    # Of a folder, so that nothing is ever asked of the hub; else as open_clip.get_tokenizer has it.
    theirs: Tokenizer = open_clip.tokenizer.HFTokenizer(
        card.tokenizer,
        context_length=card.context_length,
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )
    return theirs
