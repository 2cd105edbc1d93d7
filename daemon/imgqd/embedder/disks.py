"""How files are reached: a disk far away may stop answering, and who asks it then can neither be woken nor
ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from imgqd.library import reach
from imgqd.patience import Patience

if TYPE_CHECKING:
    from imgqd.embedder.memory import Memory

log = logging.getLogger(__name__)

# A disk that takes so long to answer is asked nothing more until it does.
SILENT_S = 10.0
# O_NOFOLLOW: what was a file at the scan may be a link by now; O_NONBLOCK: or a FIFO.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
T = TypeVar("T")


class SilentDisk(Exception):
    """The disk does not answer: what was wanted of it is to be tried again later."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """at_first: what the file was when it was opened. status: what it is now; raises OSError and
    SilentDisk."""

    descriptor: int
    at_first: os.stat_result
    status: Callable[[], os.stat_result]


class Disks:
    """For all lanes together."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._flags = _OPEN | (0 if memory.follow_symlinks else os.O_NOFOLLOW)
        self._near = _NearDisk()
        self._far: dict[int, _FarDisk] = {}
        self._ending = threading.Event()

    def end(self) -> None:
        """Nobody waits any longer."""
        self._ending.set()

    @contextmanager
    def opened(self, path: bytes, device: int = 0) -> Iterator[OpenFile]:
        """device: the number of the disk that the file was seen on. Raises OSError and SilentDisk."""
        if self._memory.is_silent(path):
            raise SilentDisk
        disk = self._disk(path, device)
        descriptor, at_first = disk.ask(
            lambda: _opened(path, self._flags), undo=lambda opened: _close(opened[0])
        )
        try:
            yield OpenFile(descriptor, at_first, partial(disk.ask, partial(os.fstat, descriptor)))
        finally:
            disk.tell(partial(_close, descriptor))

    def _disk(self, path: bytes, device: int) -> _NearDisk | _FarDisk:
        if not self._memory.is_remote(path):
            return self._near
        return self._far.setdefault(device, _FarDisk(self._ending))


def _nothing(_: object) -> None:
    pass


class _NearDisk:
    def ask(self, call: Callable[[], T], undo: Callable[[T], None] = _nothing) -> T:
        return call()

    def tell(self, call: Callable[[], None]) -> None:
        call()


class _FarDisk:
    """Asked by a thread for each call, which is left alone with a call that does not come back."""

    def __init__(self, ending: threading.Event) -> None:
        self._ending = ending
        self._lock = threading.Lock()
        self._left_alone = 0

    def ask(self, call: Callable[[], T], undo: Callable[[T], None] = _nothing) -> T:
        """What the call gives. undo: what to do with that where nobody waits for it any longer."""
        if self._left_alone:
            raise SilentDisk
        answer: Future[T] = Future()
        try:
            self._begin(lambda: self._answer(answer, call, undo))
        except RuntimeError as error:
            log.warning("a disk is asked later: %s", error)
            raise SilentDisk from error
        Patience(SILENT_S).wait(lambda most: self._comes(answer, most))
        self._leave_alone(answer)
        return answer.result()

    def tell(self, call: Callable[[], None]) -> None:
        try:
            self._begin(call)
        except RuntimeError:
            # Rather a lane that waits than a descriptor that stays.
            call()

    def _begin(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, name="disk", daemon=True).start()

    def _comes(self, answer: Future[T], most: float) -> bool:
        return bool(wait([answer], most).done) or self._ending.is_set()

    def _leave_alone(self, answer: Future[T]) -> None:
        """Raises SilentDisk, unless the answer is there."""
        with self._lock:
            if answer.cancel():
                self._left_alone += 1
                log.warning("a disk has not answered for %.0f s", SILENT_S)
                raise SilentDisk

    def _answer(self, answer: Future[T], call: Callable[[], T], undo: Callable[[T], None]) -> None:
        try:
            found = call()
        except Exception as error:
            if self._is_awaited(answer):
                answer.set_exception(error)
        else:
            if self._is_awaited(answer):
                answer.set_result(found)
            else:
                undo(found)

    def _is_awaited(self, answer: Future[T]) -> bool:
        with self._lock:
            is_awaited = answer.set_running_or_notify_cancel()
            self._left_alone -= not is_awaited
            return is_awaited


def _opened(path: bytes, flags: int) -> tuple[int, os.stat_result]:
    descriptor = reach.opened(path, flags)
    try:
        return descriptor, os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        raise


def _close(descriptor: int) -> None:
    # What is said of writing, here and there, is nothing to a reader.
    with suppress(OSError):
        os.close(descriptor)
