"""What a model has learned of its own scores, beside its towers."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN_ARCHITECTURE

log = logging.getLogger(__name__)

# CLIP's own scale at its end, and that of most models of its kind.
USUAL_SCALE = 100.0
# Where few pictures are, the scores of such a model begin to mean something about here; not measured.
USUAL_BOUND = 0.2
# That of the builtin model is measured: docs/search.md.
BUILTIN_BOUND = 0.2


@dataclass(frozen=True, slots=True)
class Sense:
    """scale: exp(scale * score) is how many times likelier a text makes a picture, up to a factor of the
    text's own. bias: with it a sigmoid tells the odds (SigLIP), None where nothing does. bound: where the
    answers of an average text end among few pictures; is_measured: on labelled queries."""

    scale: float = USUAL_SCALE
    bias: float | None = None
    bound: float = USUAL_BOUND
    is_measured: bool = False


def sense(card: Card) -> Sense:
    """As its weights have it."""
    scale, bias = USUAL_SCALE, None
    try:
        from safetensors import safe_open

        with safe_open(card.weights, "np") as weights:
            named = set(weights.keys())
            if "logit_scale" in named:
                scale = math.exp(float(weights.get_tensor("logit_scale")))
            if "logit_bias" in named:
                bias = float(weights.get_tensor("logit_bias"))
    except Exception as error:  # a kind of number that NumPy lacks; the usual will do
        log.info("the scale of %s's scores cannot be read: %s", card.name, error)
    if card.architecture == BUILTIN_ARCHITECTURE:
        return Sense(scale, bias, BUILTIN_BOUND, is_measured=True)
    return Sense(scale, bias)
