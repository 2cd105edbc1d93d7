"""torch and open_clip without what a process does not need: for texts alone three seconds of the daemon's
start, and 200 MB that it would hold for as long as it lives; for pictures two thirds of that."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


def for_texts_alone() -> None:
    """Of this process, for good; before open_clip is loaded."""
    # open_clip goes without where it is not installed, and needs it for towers of pictures only.
    sys.modules.setdefault("timm", None)  # type: ignore[arg-type]


@contextmanager
def uncompiled() -> Iterator[None]:
    """open_clip is loaded inside, and torch's compiler stays out: nothing here is compiled by it."""
    import torch

    if "torch._dynamo" not in sys.modules:
        sys.modules.setdefault(_COMPILER, _PutOff(_COMPILER))
    disable = torch.compiler.disable
    # timm has it leave out some of its functions, for which the whole compiler is loaded.
    torch.compiler.disable = _untouched
    try:
        yield
    finally:
        torch.compiler.disable = disable


def _untouched(fn: Any = None, recursive: Any = True, *, reason: Any = None) -> Any:
    return fn or _untouched


class _PutOff(ModuleType):
    """Stands for a part of torch's compiler until something of it is used. torchvision, of which
    open_clip takes one layer, imports it for devices that it has no kernels for."""

    def is_compile_supported(self, device: Any) -> Any:
        """What is imported by its name, to be used later or never."""
        return _compiler().is_compile_supported(device)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Asked of any module by whoever imports it.
            raise AttributeError(name)
        return getattr(_compiler(), name)


def _compiler() -> Any:
    if isinstance(sys.modules.get(_COMPILER), _PutOff):
        del sys.modules[_COMPILER]
    return importlib.import_module(_COMPILER)
