"""Planted in a daemon: its decoders do what a picture says of them in its comment (`unruly`), may take
three seconds for it, and serve eight pictures."""

from __future__ import annotations

from typing import Any

import unruly

from fake_embedder import FakeTexts
from imgqd.pictures import handle
from imgqd.pictures.handle import Decoder

__all__ = ["FakeTexts"]

DEADLINE_S = 3.0
_ask = Decoder._ask


def _impatient(self: Decoder, message: Any, descriptor: int, read: Any, _: object = None) -> Any:
    return _ask(self, message, descriptor, read, DEADLINE_S)


Decoder.PROGRAM = (unruly.__file__,)
Decoder._ask = _impatient  # type: ignore[method-assign]
handle.MOST_PICTURES = 8
