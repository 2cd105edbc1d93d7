"""An open descriptor as a file that Pillow reads."""

from __future__ import annotations

import io
import os


def size(descriptor: int) -> int:
    """The bytes of an open regular file, where the kernel lets nobody ask for a file's status.

    The offset is as it was, then. Raises OSError.
    """
    offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.lseek(descriptor, offset, os.SEEK_SET)


class DescriptorReader(io.RawIOBase):
    """Reads a regular file by position: the descriptor's own offset, which whoever handed it over
    shares, is neither used nor moved. The descriptor is left open.

    error: the last read error, which some decoders hide in one of their own.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        try:
            data = os.pread(self._descriptor, len(buffer), self._at)
        except OSError as error:
            self.error = error
            raise
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = 0
        if whence == os.SEEK_CUR:
            start = self._at
        elif whence == os.SEEK_END:
            start = size(self._descriptor)
        if start + offset < 0:
            raise ValueError("a position before the file's start")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at
