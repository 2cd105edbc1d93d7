"""Planted in a daemon, with `small_patience`: it is killed as soon as an attempt is recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from small_patience import FakeTexts

from imgqd.index import Index
from imgqd.records import LOST, Change, Failed

__all__ = ["FakeTexts"]

_commit = Index.commit


def _last(self: Index, changes: Sequence[Change], *more: Any) -> Any:
    committed = _commit(self, changes, *more)
    if any(isinstance(each, Failed) and each.failure.kind in LOST for each in changes):
        os.kill(os.getpid(), signal.SIGKILL)
    return committed


Index.commit = _last  # type: ignore[method-assign]
