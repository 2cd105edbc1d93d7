"""Planted in a daemon: parts that stop, as told in the file $IMGQ_TEST_ORDERS.

kill NAME      raises in the thread of this name
hang METHOD    has whoever calls Class.method wait until `let METHOD`
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

from fake_embedder import FakeTexts
from imgqd.indexer import Indexer
from imgqd.library import lookout
from imgqd.reconcile.reconciler import Reconciler

__all__ = ["FakeTexts"]

METHODS = {"Indexer._record": Indexer, "Reconciler._beat": Reconciler}
hung: dict[str, threading.Event] = {}


def kill(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
            )


def hang(method: str) -> None:
    owner, name = METHODS[method], method.partition(".")[2]
    true, event = getattr(owner, name), threading.Event()

    def waits(*words: Any) -> Any:
        event.wait()
        return true(*words)

    hung[method] = event
    setattr(owner, name, waits)


def let(method: str) -> None:
    hung[method].set()


def obey(orders: Path) -> None:
    while True:
        time.sleep(0.02)
        if orders.exists():
            name, word = orders.read_text().split()
            globals()[name](word)
            orders.unlink()


# Longer than it takes to see that no sign of life comes.
lookout.REPLACE_S = 2.0
threading.Thread(target=obey, args=(Path(os.environ["IMGQ_TEST_ORDERS"]),), daemon=True).start()
