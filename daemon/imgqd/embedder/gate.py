"""Whether files are taken now."""

from __future__ import annotations

import threading


class Gate:
    """Open while nobody holds it; each who does has a name of its own."""

    def __init__(self) -> None:
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
        return self._open.is_set()

    def wait(self, timeout: float) -> bool:
        """Whether it was open within so many seconds."""
        return self._open.wait(timeout)
