"""Planted in a daemon: what makes a watcher die, go deaf or fail, told line by line in the file
$IMGQ_TEST_ORDERS. What the daemon waits half a minute for it does at once.

    kill NAME…   raises in each thread whose name, or whose type's name, is one of these
    observe      an observer of watchdog watches from the next watcher on, as on macOS, and this one dies
    deafen       has the reader of inotify wait for nothing
    fail N       has every N-th event fail to be noted
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path

from watchdog.observers.polling import PollingObserver

from fake_embedder import FakeTexts
from imgqd.library import lookout, observer
from imgqd.library.inotify import InotifyWatch
from imgqd.library.inotify_reader import InotifyReader
from imgqd.reconcile import reconciler

__all__ = ["FakeTexts"]


def kill(*names: str) -> None:
    for thread in threading.enumerate():
        if {thread.name, type(thread).__name__} & {*names}:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(RuntimeError)
            )


def observe() -> None:
    observer.Observer = PollingObserver
    lookout.open_watch = observer.ObserverWatch
    kill("inotify")


def deafen() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, InotifyReader):
            assert thread._poller is not None
            thread._poller.unregister(thread._inotify_fd)


def fail(each: str) -> None:
    note, seen = InotifyWatch._note, 0

    def fails(self: InotifyWatch, event: object) -> None:
        nonlocal seen
        seen += 1
        if seen % int(each) == 0:
            raise ValueError("planted")
        note(self, event)  # type: ignore[arg-type]

    InotifyWatch._note = fails  # type: ignore[assignment,method-assign]


def obey(orders: Path) -> None:
    while True:
        time.sleep(0.02)
        if orders.exists():
            name, *words = orders.read_text().split()
            globals()[name](*words)
            orders.unlink()


reconciler.HEARTBEAT_S = 1.0
lookout.REPLACE_S = lookout.RETRY_S = 0.5
reconciler.POLL_S, reconciler.POLL_PART = 0.5, 1
threading.Thread(target=obey, args=(Path(os.environ["IMGQ_TEST_ORDERS"]),), daemon=True).start()
