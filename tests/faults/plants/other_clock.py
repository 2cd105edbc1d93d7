"""Planted in a daemon, with short_youth: its clock is wrong by as many seconds as IMGQ_TEST_CLOCK, a file,
says."""

from __future__ import annotations

import os
import time
from pathlib import Path

from short_youth import FakeTexts

__all__ = ["FakeTexts"]

_time_ns = time.time_ns
_told = Path(os.environ["IMGQ_TEST_CLOCK"])


def _wrong_ns() -> int:
    return _time_ns() + int(_told.read_text()) * 10**9


time.time_ns = _wrong_ns
time.time = lambda: _wrong_ns() / 1e9
