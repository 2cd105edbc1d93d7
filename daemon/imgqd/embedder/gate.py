"""Whether files are taken now."""

from __future__ import annotations

import threading


class Gate:
    """Open while nobody holds it, nor the one outside of it; each who does has a name of its own."""

    def __init__(self, outer: Gate | None = None) -> None:
        self._outer = outer
        self._lock = threading.Lock()
        self._holders: set[str] = set()
        self._open = threading.Event()
        self._open.set()

    def hold(self, who: str) -> None:
        with self._lock:
            self._holders.add(who)
            self._open.clear()

    def release(self, who: str) -> None:
        with self._lock:
            self._holders.discard(who)
            if not self._holders:
                self._open.set()

    def is_open(self) -> bool:
        return self._open.is_set() and (self._outer is None or self._outer.is_open())

    def wait(self, timeout: float) -> bool:
        """Whether it was open within so many seconds; where the outer one was not, perhaps sooner."""
        if not self._open.wait(timeout):
            return False
        return self._outer is None or self._outer.wait(timeout)
