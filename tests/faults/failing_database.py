"""imgqd, whose database fails at the calls that it is told. Its command line stands behind this program's
name; what to do, in one line, in the file $IMGQ_TEST_ORDERS:

    N ERROR once      the N-th call from now on raises apsw's ERROR
    N ERROR forever   and so do all that follow
    nothing           none does any more

Before there is such a file, none does. Each call that fails makes a line in a file beside it, ".failed".
What the daemon waits for it does soon.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

import apsw

from imgqd import indexer
from imgqd.health import upkeep
from imgqd.reconcile import reconciler
from imgqd.store.database import opening

ORDERS = Path(os.environ["IMGQ_TEST_ORDERS"])
FAILED = ORDERS.with_suffix(".failed")


class Calls:
    """How many calls are left until one fails; None where none does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        self._forever = False
        self._error: type[apsw.Error] = apsw.Error

    def order(self, words: str) -> None:
        with self._lock:
            if words == "nothing":
                self._left = None
                return
            number, error, times = words.split()
            self._left, self._forever = int(number), times == "forever"
            self._error = getattr(apsw, error)

    def count(self) -> None:
        with self._lock:
            if self._left is None:
                return
            self._left -= 1
            if self._left > 0:
                return
            self._left = 1 if self._forever else None
            with open(FAILED, "a") as file:
                file.write(f"{threading.current_thread().name}\n")
            raise self._error("planted")


calls = Calls()


class Failing(apsw.Connection):
    def execute(self, *words: Any, **options: Any) -> apsw.Cursor:
        calls.count()
        return super().execute(*words, **options)

    def executemany(self, *words: Any, **options: Any) -> apsw.Cursor:
        calls.count()
        return super().executemany(*words, **options)

    def wal_checkpoint(self, *words: Any, **options: Any) -> tuple[int, int]:
        calls.count()
        return super().wal_checkpoint(*words, **options)

    def blob_open(self, *words: Any, **options: Any) -> apsw.Blob:
        calls.count()
        return super().blob_open(*words, **options)


def obey() -> None:
    """An order is taken when it is there no more."""
    while True:
        if ORDERS.exists():
            calls.order(ORDERS.read_text())
            ORDERS.unlink()
        time.sleep(0.01)


if __name__ == "__main__":
    opening.apsw.Connection = Failing  # type: ignore[misc]
    upkeep.FIRST_PAUSE_S, upkeep.LONGEST_PAUSE_S, upkeep.FILE_S = 0.1, 0.4, 0.5
    reconciler.STORE_RETRY_S, reconciler.LONGEST_RETRY_S = 0.1, 0.4
    indexer.STORE_PAUSE_S, indexer.PUT_OFF_S = 0.1, 0.4
    if ORDERS.exists():
        calls.order(ORDERS.read_text())
        ORDERS.unlink()
    threading.Thread(target=obey, daemon=True).start()
    # This program's own name, and then the interpreter, -m and imgqd.
    del sys.argv[:3]
    runpy.run_module("imgqd", run_name="__main__", alter_sys=True)
