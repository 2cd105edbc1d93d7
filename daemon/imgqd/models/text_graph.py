"""`python -m imgqd.models.text_graph`: writes the graph of a model's text tower for ONNX Runtime, once.

In a process of its own, for it needs torch, which the daemon then does without.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgqd import machine
from imgqd.choices import Choice, Choices
from imgqd.models import lean
from imgqd.models.card import Card
from imgqd.pictures import sandbox

if TYPE_CHECKING:
    from torch import nn

    from imgqd.models.text import Texts

log = logging.getLogger(__name__)

TORCH = Choice("torch", "auto", 0)
ONNX = Choice("onnxruntime", "f32", 0)

# Protocol buffers end at 2 GB.
_MOST_BYTES = 1_900_000_000
# From a word to more than a tower of 77 tokens takes: no length may differ.
_SAMPLES = ["cat", "two dogs playing on a beach at sunset", "a very long list of things " * 20]
_LEAST_COSINE = 0.99999
_TRIALS = 4
# torch in bf16, where a CPU has that, is worth its memory where it is so much faster.
_WORTH = 0.9


def kept(card: Card, exact: bool, engines: str) -> Path | None:
    """The graph, made now where that was not tried before; None where torch does better, or has to do.

    Takes seconds the first time.
    """
    choices = choices_of(card, exact, engines)
    found = choices.remembered()
    if found.choice is None and found.is_due and _can_be(card):
        try:
            choices.begin(found.attempts)
        except OSError as error:
            log.warning("no graph of the text tower can be kept: %s", error)
            return None
        _make(card, exact, engines)
        found = choices.remembered()
    is_graph = found.choice is not None and found.choice.engine == ONNX.engine
    return choices.graph if is_graph else None


def choices_of(card: Card, exact: bool, engines: str) -> Choices:
    """Where it is remembered. exact: whether bf16 is out of the question."""
    tower = f"{card.identity.rpartition('@')[2]}-text"
    return Choices(engines, tower, [card.identity, card.context_length, exact])


def _can_be(card: Card) -> bool:
    """CLIP's own tokenizer is all that there is without torch."""
    return card.tokenizer_from is None and machine.has("onnx") and machine.has("onnxruntime")


def _make(card: Card, exact: bool, engines: str) -> None:
    asked = {"card": card.as_map(), "exact": exact, "engines": engines, "parent": os.getpid()}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "imgqd.models.text_graph"],
        input=json.dumps(asked).encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").splitlines() or [
            f"it ended by {done.returncode}"
        ]
        log.warning("texts are embedded by torch, for want of a graph: %s", said[-1])


def main() -> None:
    """Chooses, and writes the graph where that is the choice."""
    asked = json.load(sys.stdin)
    sandbox.tie_to_parent(asked["parent"])
    lean.for_texts_alone()
    card = Card.from_map(asked["card"])
    choices = choices_of(card, asked["exact"], asked["engines"])
    choices.keep(_best(card, asked["exact"], choices.graph))


def _best(card: Card, exact: bool, graph: Path) -> Choice:
    from imgqd.models.text import TextTower
    from imgqd.models.text_onnx import OnnxTexts

    if not write(card, graph):
        return TORCH
    plain, quick = TextTower(card, exact=True), OnnxTexts(card, graph)
    if float((plain.embed(_SAMPLES) * quick.embed(_SAMPLES)).sum(axis=1).min()) < _LEAST_COSINE:
        log.warning("onnxruntime gives other vectors of texts, and is not used")
        return TORCH
    if exact or not machine.has_bf16():
        return ONNX
    return TORCH if _seconds(TextTower(card)) < _WORTH * _seconds(quick) else ONNX


def _seconds(texts: Texts) -> float:
    """The shortest time that an average text takes."""
    taken = []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        texts.embed(_SAMPLES[1:2])
        taken.append(time.perf_counter() - began)
    return min(taken)


def write(card: Card, place: Path) -> bool:
    """The graph, from int64 (n, length) tokens to float32 (n, dim), unit norm; False where the tower
    has something that it cannot have."""
    import torch

    from imgqd.models import hub, towers
    from imgqd.models.plain import plain

    hub.shut()
    tower = plain(towers.load(card, "text"))
    if tower is None or not _has_usual_tokens(card) or _bytes(tower) > _MOST_BYTES:
        return False
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            (torch.ones((2, min(7, card.context_length)), dtype=torch.int64),),
            str(place),
            dynamo=False,
            input_names=["tokens"],
            output_names=["vectors"],
            dynamic_axes={"tokens": {0: "texts", 1: "length"}, "vectors": {0: "texts"}},
            opset_version=17,
        )
    return True


def _has_usual_tokens(card: Card) -> bool:
    from imgqd.models import architecture

    config: dict[str, Any] = architecture.config(card.architecture)["text_cfg"]
    return not config.get("tokenizer_kwargs")


def _bytes(tower: nn.Module) -> int:
    return 4 * sum(each.numel() for each in tower.parameters())


if __name__ == "__main__":
    main()
