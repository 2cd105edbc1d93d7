"""What is known to be out of date, as a query sees it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from imgqd.reconcile.backlog import Backlog

PATIENCE_S = 30.0


def test_how_much_is_pending_is_told_while_a_folder_is_gone_through() -> None:
    backlog = Backlog()
    backlog.unready(b"/r", ["indexed", None])
    with ThreadPoolExecutor(1) as pool, backlog.at_once():
        told = pool.submit(lambda: (backlog.pending, backlog.counted("indexed")))
        assert told.result(PATIENCE_S) == (2, 1)
