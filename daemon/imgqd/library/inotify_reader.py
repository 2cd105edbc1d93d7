"""inotify's descriptor and the thread that reads it, through the reader that watchdog is built on.

Of watchdog only this is used: its walk of new folders loses files, its pairing of moves keeps events back
for half a second, and its own books of watches would be kept a second time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterable

from watchdog.observers.inotify_c import (
    InotifyEvent,
    InotifyFD,
    inotify_add_watch,
    inotify_rm_watch,
)

_WATCH = re.compile(rb"^inotify wd:([0-9a-f]+) ", re.MULTILINE)


class InotifyReader(InotifyFD):
    """Has the kernel watch, and hands on each event in its own thread.

    Raises OSError where no instance of inotify is to be had (max_user_instances).
    """

    def __init__(self, hand_on: Callable[[InotifyEvent], None]) -> None:
        super().__init__()
        self.name = "inotify"
        self._hand_on = hand_on
        self._is_released = False
        # A program that is started, or that imgqd becomes, does not hold it.
        os.set_inheritable(self._inotify_fd, False)

    def watch(self, path: bytes, mask: int) -> int:
        """The kernel's number of the watch; the same one again for what is watched already, whatever the
        name. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            number = inotify_add_watch(self._inotify_fd, path, mask)
            if number < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return number

    def unwatch(self, numbers: Iterable[int]) -> None:
        """The kernel may have ended these watches by itself."""
        with self._lock:
            for number in numbers if not self._closed else ():
                inotify_rm_watch(self._inotify_fd, number)  # type: ignore[arg-type]

    def numbers(self) -> frozenset[int]:
        """The watches that the kernel really has. For the thread that will call `end`."""
        with open(f"/proc/self/fdinfo/{self._inotify_fd}", "rb") as file:
            return frozenset(int(number, 16) for number in _WATCH.findall(file.read()))

    def handle_event(self, event: InotifyEvent) -> None:
        self._hand_on(event)

    def end(self) -> None:
        """Ends the thread; what one that died has left open is closed for it."""
        self.stop()
        if self.ident is not None:
            self.join()
        self._close_resources()

    def _close_resources(self) -> None:
        if not self._is_released:
            self._is_released = True
            super()._close_resources()
