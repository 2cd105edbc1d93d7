"""Planted in a daemon: between the look at other settings and the start with them they are broken."""

from __future__ import annotations

from pathlib import Path

from fake_embedder import FakeTexts
from imgq.paths import places
from imgqd import in_force
from imgqd.config import Settings

__all__ = ["FakeTexts"]

_handed_over = in_force.handed_over


def _broken(settings: Settings) -> int | None:
    Path(places().settings).write_text("rescan = soon\n")
    return _handed_over(settings)


in_force.handed_over = _broken
