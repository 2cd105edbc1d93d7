"""The text tower, on the CPU of the daemon itself."""

from __future__ import annotations

import copy
import gc
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from imgqd.models.card import Card

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger(__name__)

FAKE = "IMGQ_TEST_TEXT"

# What a person asks for, on average; a trial of it this much faster is worth another precision.
_SAMPLE = "two dogs playing on a beach at sunset"
_WORTH = 0.9
_TRIALS = 3
# Between the vectors of a text in both precisions, at least.
_SAME = 0.999


class Texts(Protocol):
    """Whatever embeds texts; safe to be called by several threads."""

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim), unit norm."""
        ...


def open_text_tower(card: Card, exact: bool = False, engines: str | None = None) -> Texts:
    """The model's text tower, or the fake one of the tests: IMGQ_TEST_TEXT=module:callable.

    exact: in float32, whatever the CPU. engines: the folder that keeps its graph; None where there is
    to be none. Raises Refused. Takes seconds where there is no graph: torch is loaded then.
    """
    if fake := os.environ.get(FAKE):
        module, _, name = fake.partition(":")
        made: Callable[[Card], Texts] = getattr(importlib.import_module(module), name)
        return made(card)
    tower = (engines and _by_graph(card, exact, engines)) or TextTower(card, exact)
    # What torch and the model are made of stays for good: to go through it for garbage would hold up a
    # query by a quarter of a second, now and then.
    gc.freeze()
    return tower


def _by_graph(card: Card, exact: bool, engines: str) -> Texts | None:
    """None where torch has to do it."""
    from imgqd.models import text_graph
    from imgqd.models.text_onnx import OnnxTexts

    graph = text_graph.kept(card, exact, engines)
    if graph is None:
        return None
    try:
        return OnnxTexts(card, graph)
    except Exception:
        log.exception("onnxruntime failed on its graph of texts, and torch is used")
        return None


class TextTower:
    """By torch, on one thread of torch, in this process as a whole."""

    def __init__(self, card: Card, exact: bool = False) -> None:
        import torch

        from imgqd.models import hub, towers
        from imgqd.models.shortened import Shortened
        from imgqd.models.tokenizer import tokenizer

        hub.shut()
        torch.set_num_threads(1)
        self.dim = card.dim
        self._tokenize = tokenizer(card)
        tower = towers.load(card, "text")
        sample = self._tokenize([_SAMPLE])
        self._tower = Shortened(tower if exact else _quicker(tower, sample))
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim), unit norm."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        tokens = self._tokenize(list(texts))
        with self._lock:
            return _vectors(self._tower, tokens)


def _vectors(tower: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor) -> np.ndarray:
    import torch

    with torch.inference_mode():
        features = torch.nn.functional.normalize(tower(tokens).float(), dim=-1)
    return features.numpy()


def _quicker(tower: nn.Module, sample: torch.Tensor) -> nn.Module:
    """The tower in bf16 where the CPU multiplies that itself, and a trial says that it pays; such a CPU
    may well emulate it, and is slower then."""
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return tower
    other = copy.deepcopy(tower).to(torch.bfloat16)
    (exact, usual), (near, quick) = _tried(tower, sample), _tried(other, sample)
    pays = quick < _WORTH * usual and float((exact * near).sum(axis=1).min()) > _SAME
    log.info("a text takes %.1f ms in f32, %.1f ms in bf16", usual * 1e3, quick * 1e3)
    return other if pays else tower


def _tried(tower: nn.Module, sample: torch.Tensor) -> tuple[np.ndarray, float]:
    """The sample's vector, and the shortest time that it took, in seconds."""
    from imgqd.models.shortened import Shortened

    shortened, taken = Shortened(tower), []
    for _ in range(1 + _TRIALS):
        began = time.perf_counter()
        vectors = _vectors(shortened, sample)
        taken.append(time.perf_counter() - began)
    return vectors, min(taken[1:])
