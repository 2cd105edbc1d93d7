"""What is known to be out of date, as a query sees it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import ItemsView
from concurrent.futures import ThreadPoolExecutor

from imgqd.embedder.jobs import Urgency
from imgqd.library.compare import Seen
from imgqd.reconcile.backlog import Backlog
from imgqd.records import Stamp
from imgqd.store import FileState

PATIENCE_S = 30.0


def test_how_much_is_pending_is_told_while_a_folder_is_gone_through() -> None:
    backlog = Backlog()
    backlog.unready(b"/r", ["indexed", None])
    with ThreadPoolExecutor(1) as pool, backlog.at_once():
        told = pool.submit(lambda: (backlog.pending, backlog.counted("indexed")))
        assert told.result(PATIENCE_S) == (2, 1)


def test_what_was_put_off_is_called_for_once_and_as_there_is_room() -> None:
    backlog, called = Backlog(most=100), list[bytes]()
    seen = [
        Seen(b"/r/%d/%d.jpg" % (number // 10, number), Stamp(1, 1, 1, 1, 1), None)
        for number in range(1000)
    ]
    jobs = backlog.begin(seen, Urgency.BACKLOG)
    turns = 0

    class Turned(defaultdict[bytes, Counter[FileState | None]]):
        def items(self) -> ItemsView[bytes, Counter[FileState | None]]:
            nonlocal turns
            turns += 1
            return super().items()

    backlog._put_off = Turned(Counter, backlog._put_off)
    for job in jobs:
        backlog.finish(job.path, called.append)
    # Nobody looks at the first six, so that the last to be finished calls for ten more.
    assert (len(called), len(set(called)), turns) == (16, 16, 2)
    for folder in called:
        backlog.looks_at(folder)
        there = [each for each in seen if os.path.dirname(each.path) == folder]
        jobs += backlog.begin(there, Urgency.BACKLOG)
    assert (len(jobs), backlog.pending) == (200, 900)
