"""CLIP's tokenizer as open_clip has it, without torch: half a gigabyte that a few numbers do not need."""

from __future__ import annotations

import builtins
import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Tokens = Callable[[Sequence[str]], np.ndarray]


def clip_tokens(context_length: int) -> Tokens:
    """Texts to int64 (n, length): as open_clip's own tokenizer, with no more padding than the longest
    of them needs."""
    own = _open_clips().SimpleTokenizer(context_length=context_length)

    def tokens(texts: Sequence[str]) -> np.ndarray:
        rows = [[own.sot_token_id, *own.encode(text), own.eot_token_id] for text in texts]
        found = np.zeros((len(rows), min(max(map(len, rows)), context_length)), np.int64)
        for place, row in zip(found, rows, strict=True):
            if len(row) > context_length:
                row = [*row[: context_length - 1], own.eot_token_id]
            place[: len(row)] = row
        return found

    return tokens


@cache
def _open_clips() -> ModuleType:
    """open_clip's own file. It names torch where tensors are made, which is not done here."""
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    assert package.origin is not None
    place = Path(package.origin).with_name("tokenizer.py")
    module = ModuleType("open_clip.tokenizer")
    vars(module)["__file__"] = str(place)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _imported}
    exec(compile(place.read_bytes(), str(place), "exec"), vars(module))
    return module


class _Absent(ModuleType):
    """Stands for torch in annotations."""

    def __getattr__(self, name: str) -> Any:
        return object


def _imported(name: str, *rest: Any) -> Any:
    return _Absent(name) if name == "torch" else builtins.__import__(name, *rest)
