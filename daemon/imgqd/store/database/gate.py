"""A gate that any number of threads pass, until one closes it and is alone."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgq.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class _Stay:
    """is_over: told in here, for a generator that was left inside may be ended by another thread."""

    is_over: bool = False


class Gate:
    """patience: seconds that anyone waits for another."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._moved = threading.Condition()
        self._inside = 0
        self._closed_by: threading.Thread | None = None
        self._local = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Raises StoreBusy where it is closed for longer than is waited for. A thread that is inside
        may pass again, whoever waits outside."""
        before: _Stay | None = getattr(self._local, "stay", None)
        if before is not None and not before.is_over:
            yield
            return
        self._enter()
        stay = self._local.stay = _Stay()
        try:
            yield
        finally:
            stay.is_over = True
            self._leave()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody else is inside, but for those who take longer to leave than is waited for. For one
        thread at a time."""
        with self._moved:
            self._closed_by = threading.current_thread()
            self._moved.wait_for(lambda: not self._inside, self._patience)
        try:
            yield
        finally:
            with self._moved:
                self._closed_by = None
                self._moved.notify_all()

    def _is_open(self) -> bool:
        return self._closed_by in (None, threading.current_thread())

    def _enter(self) -> None:
        with self._moved:
            if not self._moved.wait_for(self._is_open, self._patience):
                raise StoreBusy("the index is being opened anew", "ask again in a moment")
            self._inside += 1

    def _leave(self) -> None:
        with self._moved:
            self._inside -= 1
            self._moved.notify_all()
