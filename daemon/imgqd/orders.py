"""What the daemon is told to do, by signals and by its clients: to end, or to start anew."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from imgqd.notify import notify

log = logging.getLogger(__name__)

Order = Literal["end", "reload"]

# What has not stopped by then is left as it stands: the index on disk is sound at any instant.
STOPPING_S = 4.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EndedEarly(BaseException):
    """The daemon was told to end before it answered."""


class Orders:
    """Given by any thread, and by a signal's handler, which may run in the midst of anything: hence
    the queue, which is the only part of Python that can be used there."""

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._is_taken = False
        self.is_ending = False

    def end(self) -> None:
        self.is_ending = True
        self._given.put("end")

    def reload(self) -> None:
        self._given.put("reload")

    def heed_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the daemon, and SIGHUP has it read its settings again.
        Until the first order is waited for, there is nothing yet to be ended in order: then
        EndedEarly is raised."""
        signal.signal(signal.SIGHUP, lambda *_: self.reload())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end_now_or_in_order())
        # Where this program has taken its own place, they were held back meanwhile.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _end_now_or_in_order(self) -> None:
        was_told, self.is_ending = self.is_ending, True
        self._given.put("end")
        if not self._is_taken and not was_told:
            raise EndedEarly

    def next(self, timeout: float | None) -> Order | None:
        """The next order, None where there is none for so many seconds."""
        self._is_taken = True
        try:
            return self._given.get(timeout=timeout)
        except queue.Empty:
            return None


@contextmanager
def in_time(leave: Callable[[], object]) -> Iterator[None]:
    """Around the end of every part: has `leave` called where that takes too long."""

    def give_up() -> None:
        log.warning("not every part ended within %g s; they are left as they are", STOPPING_S)
        leave()

    timer = threading.Timer(STOPPING_S, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tell_reloading() -> None:
    """Until READY=1 follows, a service manager knows that this is no end."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def start_anew(lock: int) -> None:
    """Puts the same program, with the lock that it holds, in this process's place."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    os.set_inheritable(lock, True)
    interpreter = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    os.execv(sys.executable, [sys.executable, *interpreter, "--lock", str(lock)])
