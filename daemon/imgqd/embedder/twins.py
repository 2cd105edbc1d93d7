"""Files with the same bytes that arrive together: one of them is embedded, the others wait for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from imgqd.embedder.jobs import Job
from imgqd.records import Stamp


@dataclass(frozen=True, slots=True)
class Twin:
    """A file whose bytes another file already shows to the decoders."""

    job: Job
    stamp: Stamp
    trusted: bool


class Twins:
    """The hashes under way, each with those that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[Twin]] = {}

    def is_first(self, hash: bytes, job: Job, stamp: Stamp, trusted: bool) -> bool:
        """Whether the caller is to decode; otherwise the file waits for the one who does."""
        with self._lock:
            if hash not in self._waiting:
                self._waiting[hash] = []
                return True
            self._waiting[hash].append(Twin(job, stamp, trusted))
            return False

    def part(self, hash: bytes) -> list[Twin]:
        """The hash is no longer under way; those who waited for it."""
        with self._lock:
            return self._waiting.pop(hash, [])
