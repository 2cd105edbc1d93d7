"""How many files a test makes: as many as the fault speaks of where IMGQ_FAULTS=full, else fewer."""

from __future__ import annotations

import os

FULL = os.environ.get("IMGQ_FAULTS") == "full"


def count(full: int, few: int) -> int:
    return full if FULL else few


def patience(few: float) -> float:
    """Seconds for what takes so long with few files."""
    return 20 * few if FULL else few
