"""A file of imgq's own, by which a watcher is probed."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cookie:
    """Lies in a folder that nobody else uses. Every method raises OSError."""

    folder: bytes

    @property
    def path(self) -> bytes:
        return os.path.join(self.folder, b"cookie")

    def make(self) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self._open(os.O_CREAT)

    def open(self) -> None:
        """Writes nothing, and wakes no disk."""
        self._open(0)

    def touch(self) -> None:
        os.utime(self.path)

    def _open(self, flags: int) -> None:
        flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(self.path, flags, 0o600))
