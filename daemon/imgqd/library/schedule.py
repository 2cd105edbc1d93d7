"""Folders that are due at a time of their own, the earliest first."""

from __future__ import annotations

import heapq
import math


class Schedule:
    """Each folder once, at the earliest time it was put down for. Not for two threads at once."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        # Holds a folder once more for each earlier time that it was put down for since.
        self._heap: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, folder: bytes) -> bool:
        return folder in self._due

    def put(self, folder: bytes, due: float) -> None:
        if due < self._due.get(folder, math.inf):
            self._due[folder] = due
            heapq.heappush(self._heap, (due, folder))

    @property
    def next(self) -> float:
        """When the first is due, at the latest; infinite where there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def take(self, now: float) -> set[bytes]:
        """The folders that are due by now, which are in here no longer."""
        taken: set[bytes] = set()
        while self._heap and self._heap[0][0] <= now:
            due, folder = heapq.heappop(self._heap)
            if self._due.get(folder) == due:
                del self._due[folder]
                taken.add(folder)
        return taken
