"""Planted in a daemon: a picture may take a decoder two seconds, and then half a second more.

A far disk may take a second to answer a lane.
"""

from __future__ import annotations

from typing import Any

from fake_embedder import FakeTexts
from imgqd.embedder import disks
from imgqd.pictures import handle
from imgqd.pictures.handle import Decoder

__all__ = ["FakeTexts"]

DEADLINE_S = 2.0
_ask = Decoder._ask


def _impatient(self: Decoder, message: Any, descriptor: int, read: Any, _: object = None) -> Any:
    return _ask(self, message, descriptor, read, DEADLINE_S)


handle._GRACE_S = 0.5
disks.SILENT_S = 1.0
Decoder._ask = _impatient  # type: ignore[method-assign]
