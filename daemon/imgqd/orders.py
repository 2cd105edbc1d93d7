"""What the daemon is told to do, by signals and by its clients: to end, or to start anew."""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from imgqd.health.notify import notify

log = logging.getLogger(__name__)

Order = Literal["end", "reload"]

# What has not stopped by then is left as it stands: the index on disk is sound at any instant.
STOPPING_S = 4.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EndedEarly(BaseException):
    """The daemon was told to end before it answered."""


class Orders:
    """Given by any thread, and by a signal's handler, which may run in the midst of anything: hence
    the queue, which is the only part of Python that can be used there.

    A signal that comes as the process goes on after a stop may be another thread's, and would not wake the
    one whose handlers answer it: a byte on a socket does.
    """

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[tuple[Order, threading.Event]] = queue.SimpleQueue()
        self._heeded = threading.Event()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._is_taken = False
        self.is_ending = False

    def end(self) -> None:
        self.is_ending = True
        self._give("end")

    def reload(self) -> threading.Event:
        """What is returned is set once the settings were read again; never, where this process then starts
        anew or ends."""
        return self._give("reload")

    def _give(self, order: Order) -> threading.Event:
        heeded = threading.Event()
        self._given.put((order, heeded))
        # Where there is no room for another byte, enough of them wake.
        with suppress(BlockingIOError):
            self._wake.send(b"\0")
        return heeded

    @property
    def is_pressing(self) -> bool:
        """Whether another order waits for the one that is being heeded."""
        return self.is_ending or not self._given.empty()

    def heed_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the daemon, and SIGHUP has it read its settings again.
        Until the first order is waited for, there is nothing yet to be ended in order: then
        EndedEarly is raised."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, lambda *_: self._give("reload"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end_now_or_in_order())
        # Where this program has taken its own place, they were held back meanwhile.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _end_now_or_in_order(self) -> None:
        was_told, self.is_ending = self.is_ending, True
        self._give("end")
        if not self._is_taken and not was_told:
            raise EndedEarly

    def next(self, timeout: float | None) -> Order | None:
        """The next order; None where none comes within so many seconds, or a signal that is none does.
        The one before is heeded by now."""
        self._is_taken = True
        self._heeded.set()
        if (order := self._first()) is not None:
            return order
        select.select([self._woken], [], [], timeout)
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        return self._first()

    def _first(self) -> Order | None:
        try:
            order, self._heeded = self._given.get_nowait()
        except queue.Empty:
            return None
        return order


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


def start_anew(*, lock: int, kept: int | None) -> None:
    """Puts the same program in this process's place, with the lock that it holds and its settings."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    interpreter = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    words = []
    for option, descriptor in (("--lock", lock), ("--kept", kept)):
        if descriptor is not None:
            os.set_inheritable(descriptor, True)
            words += [option, str(descriptor)]
    os.execv(sys.executable, [sys.executable, *interpreter, *words])
