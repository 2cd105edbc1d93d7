"""Thumbnails for whoever shows an answer: drawn by the decoders, and the latest kept on disk."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imgqd.embedder.jobs import ThumbnailOf
from imgqd.records import Failure, Stamp
from imgqd.store import Store
from imgqd.store.records import FileInfo

PATIENCE_S = 15.0
# So many are under way while the first is waited for: work for every decoder, and no more than a person
# who goes away should leave behind.
AHEAD = 16
MOST_BYTES = 256 << 20
# How much of that is left when the oldest have gone.
_KEPT = 0.75
_BEGINS, _ENDS = b"\xff\xd8\xff", b"\xff\xd9"


class Drawer:
    """A folder of JPEGs by the hash of their picture, `most` bytes of them at most: those that were not
    asked for the longest go first. What cannot be kept is drawn again, and nobody is told."""

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def get(self, hash: bytes, longest: int) -> bytes | None:
        path = self._path(hash, longest)
        try:
            jpeg = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        # A power cut may have left any part of it.
        return jpeg if jpeg.startswith(_BEGINS) and jpeg.endswith(_ENDS) else None

    def put(self, hash: bytes, longest: int, jpeg: bytes) -> None:
        with suppress(OSError), self._lock:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._bytes is None:
                self._bytes = sum(size for _, size, _ in self._files())
            self._write(self._path(hash, longest), jpeg)
            self._bytes += len(jpeg)
            if self._bytes > self._most:
                self._bytes = self._thinned()

    def _path(self, hash: bytes, longest: int) -> Path:
        return self._folder / f"{hash.hex()}-{longest}.jpg"

    def _write(self, path: Path, jpeg: bytes) -> None:
        descriptor, beside = tempfile.mkstemp(dir=self._folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(jpeg)
            os.replace(beside, path)
        except OSError:
            os.unlink(beside)
            raise

    def _files(self) -> list[tuple[int, int, str]]:
        """When each was asked for last, its bytes and its path; oldest first."""
        with os.scandir(self._folder) as entries:
            status = [(entry.stat(), entry.path) for entry in entries]
        return sorted((each.st_mtime_ns, each.st_size, path) for each, path in status)

    def _thinned(self) -> int:
        """Deletes the oldest; the bytes that are left."""
        files = self._files()
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= self._most * _KEPT:
                break
            os.unlink(path)
            left -= size
        return left


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Only of files that the index knows: a client reads no other file through the daemon."""

    store: Store
    submit: Callable[[ThumbnailOf], None]
    drawer: Drawer

    def drawn(self, paths: Sequence[bytes], longest: int, form: str) -> Iterator[bytes | None]:
        """A small picture a path, in their order; None where a file shows none."""
        under_way = deque[Callable[[], bytes | None]]()
        for path in paths:
            under_way.append(self._begun(path, longest, form))
            if len(under_way) == AHEAD:
                yield under_way.popleft()()
        while under_way:
            yield under_way.popleft()()

    def _begun(self, path: bytes, longest: int, form: str) -> Callable[[], bytes | None]:
        """What waits for it, which is at work already."""
        known = self.store.info(path)
        if known is None or known.picture is None:
            return lambda: None
        hash, keeps = known.picture.hash, form == "jpeg"
        if keeps and (kept := self.drawer.get(hash, longest)) is not None:
            return lambda: kept
        work = ThumbnailOf(path, longest, form)
        self.submit(work)

        def finished() -> bytes | None:
            made = _answered(work)
            if made is not None and keeps and _is_as_known(known):
                self.drawer.put(hash, longest, made)
            return made

        return finished


def _is_as_known(file: FileInfo) -> bool:
    """Whether what was drawn are the bytes of that hash."""
    try:
        return Stamp.of(os.stat(file.path)) == file.row.stamp
    except OSError:
        return False


def _answered(work: ThumbnailOf) -> bytes | None:
    try:
        made = work.answer.result(PATIENCE_S)
    except FutureTimeout:
        return None
    return None if isinstance(made, Failure) else made
