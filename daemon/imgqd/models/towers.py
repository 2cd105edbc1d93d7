"""The two towers of a model, each built and loaded without the other, by open_clip's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import nn
from torch.overrides import TorchFunctionMode

from imgq.errors import Refused
from imgqd.models import architecture, lean, weights
from imgqd.models.card import Card

with lean.uncompiled():
    from open_clip.model import _build_text_tower, _build_vision_tower

Name = Literal["visual", "text"]
TOWERS: tuple[Name, ...] = ("visual", "text")


def load(card: Card, name: Name) -> nn.Module:
    """A tower with its weights, which are the card's own: float32, on the CPU, for inference.

    Raises Refused.
    """
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(weights.digest, card.weights)
        with _Unfilled():
            tower = _built(card, name)
        weights.require_own(card, found.result())
    _fill(tower, Path(card.weights), name)
    return tower.eval().requires_grad_(False)


def require_fit(card: Card, path: Path) -> None:
    """Raises Refused, with the first differences, where a file is of another architecture."""
    there = weights.shapes(path)
    for name in TOWERS:
        with torch.device("meta"):
            needed = _shapes(_built(card, name).state_dict())
        _require(card.architecture, path, weights.misfit(needed, _own(name, there)))


def _built(card: Card, name: Name) -> nn.Module:
    config = architecture.config(card.architecture)
    build: Callable[..., nn.Module] = _build_vision_tower if name == "visual" else _build_text_tower
    part: dict[str, Any] = config["vision_cfg" if name == "visual" else "text_cfg"]
    try:
        return build(config["embed_dim"], part, card.quick_gelu)
    except (RuntimeError, OSError) as error:
        # A text tower of transformers', where that is not installed, or its configuration not here.
        raise Refused(
            f"open_clip cannot build {card.architecture}: {error}",
            "pip install 'imgq[multilingual]'",
        ) from None


def _fill(tower: nn.Module, path: Path, name: Name) -> None:
    there = weights.shapes(path)
    needed = tower.state_dict()
    _require(name, path, weights.misfit(_shapes(needed), _own(name, there)))
    own = weights.keys_of(name, there)
    # One tensor at a time, so that memory holds the tower once, whatever the file's type.
    with safe_open(path, "pt") as file, torch.no_grad():
        for key in needed.keys() & own.keys():
            needed[key].copy_(file.get_tensor(own[key]))


def _own(name: Name, there: weights.Shapes) -> weights.Shapes:
    """The shapes of a tower's tensors in a file, by the tower's own names."""
    return {own: there[key] for own, key in weights.keys_of(name, there).items()}


def _shapes(state: Mapping[str, torch.Tensor]) -> weights.Shapes:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _require(what: str, path: Path, misfit: weights.Misfit) -> None:
    if misfit:
        raise Refused(
            f"{path} does not fit {what}: {misfit}",
            "name the architecture that the file was made for, as open_clip spells it",
        )


class _Unfilled(TorchFunctionMode):
    """Leaves out the random start values, which would cost seconds and are overwritten."""

    _RANDOM = frozenset(
        {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.erfinv_, torch.Tensor.bernoulli_}
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return args[0] if func in self._RANDOM else func(*args, **(kwargs or {}))
