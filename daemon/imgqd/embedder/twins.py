"""Files with the same bytes that arrive together: one of them is embedded, the others wait for it."""

from __future__ import annotations

import threading

from imgqd.embedder.jobs import Hashed


class Twins:
    """The hashes under way, each with the files that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[Hashed]] = {}

    def is_first(self, hashed: Hashed) -> bool:
        """Whether the caller is to decode; otherwise the file waits for the one who does."""
        with self._lock:
            if hashed.hash not in self._waiting:
                self._waiting[hashed.hash] = []
                return True
            self._waiting[hashed.hash].append(hashed)
            return False

    def part(self, hash: bytes) -> list[Hashed]:
        """The hash is no longer under way; those who waited for it."""
        with self._lock:
            return self._waiting.pop(hash, [])
