"""The text tower, on the CPU of the daemon itself."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from imgqd.models.card import Card

if TYPE_CHECKING:
    import torch

FAKE = "IMGQ_TEST_TEXT"


class Texts(Protocol):
    """Whatever embeds texts; safe to be called by several threads."""

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim), unit norm."""
        ...


def open_text_tower(card: Card, threads: int = 1) -> Texts:
    """The model's text tower, or the fake one of the tests: IMGQ_TEST_TEXT=module:callable.

    Raises Refused. Takes seconds: torch is loaded here.
    """
    if fake := os.environ.get(FAKE):
        module, _, name = fake.partition(":")
        made: Callable[[Card], Texts] = getattr(importlib.import_module(module), name)
        return made(card)
    return TextTower(card, threads)


class TextTower:
    """threads: of torch in this process, as a whole."""

    def __init__(self, card: Card, threads: int = 1) -> None:
        import torch

        from imgqd.models import towers
        from imgqd.models.tokenizer import tokenizer

        torch.set_num_threads(threads)
        self.dim = card.dim
        self._tokenize = tokenizer(card)
        self._tower = towers.load(card, "text")
        self._mask = getattr(self._tower, "attn_mask", None)
        self._last = _last_token(self._tower)
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim), unit norm."""
        import torch

        if not texts:
            return np.empty((0, self.dim), np.float32)
        tokens = self._tokenize(list(texts))
        with self._lock, torch.inference_mode():
            features = self._forward(tokens)
            features = torch.nn.functional.normalize(features.float(), dim=-1)
        return features.numpy()

    def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Without the padding, where that cannot matter: a causal tower that reads its answer from
        one token never sees what comes after it. For five words that is a third of the work.
        """
        if self._last is not None and self._mask is not None:
            length = int(self._last(tokens).max()) + 1
            tokens = tokens[:, :length]
            self._tower.attn_mask = self._mask[:length, :length]
        features: torch.Tensor = _first(self._tower(tokens))
        return features


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, tuple) else answer


def _last_token(tower: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Which token of each text a causal tower answers from; None where it must not be cut."""
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return None
    if tower.pool_type == "argmax":
        return lambda tokens: tokens.argmax(dim=-1)
    if tower.pool_type == "eos":
        return lambda tokens: tokens.eq(tower.eos_id).int().argmax(dim=-1)
    return None
