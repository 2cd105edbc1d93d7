"""How long each stage of a search has taken."""

from __future__ import annotations

from collections import deque

import numpy as np

from imgqd.health.stages import Stages

# A query's words and pictures to their vector; its filters to what may be found; the vector to the nearest
# pictures; and these to files.
SEARCH = ("embed", "filter", "rank", "rows", "total")

_LATEST = 1000


class Times(Stages):
    """Totals, and the latest times of each stage, of what was asked at once each its share; for all threads
    together."""

    def __init__(self) -> None:
        super().__init__(SEARCH)
        self._latest = {name: deque[float](maxlen=_LATEST) for name in SEARCH}

    def add(self, stage: str, seconds: float, pictures: int = 1) -> None:
        super().add(stage, seconds, pictures)
        self._latest[stage].append(seconds / max(pictures, 1))

    def quantile(self, stage: str, share: float) -> float | None:
        """Of the latest, in seconds; None before the first."""
        # In one step, that nothing is appended meanwhile.
        latest = list(self._latest[stage])
        return float(np.quantile(latest, share)) if latest else None
