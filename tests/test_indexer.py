"""What the indexer says of a file when its job is done: one step for whoever looks meanwhile."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import until
from imgqd.embedder.jobs import Result, Urgency
from imgqd.health.stages import Stages
from imgqd.indexer import Indexer
from imgqd.library.compare import Seen
from imgqd.records import Ignored, Stamp
from world import World


@pytest.fixture
def spaces() -> Any:
    memory = SimpleNamespace(
        follow_symlinks=False, is_remote=lambda _: False, leads_elsewhere=lambda _: False
    )
    return SimpleNamespace(
        results=queue.SimpleQueue(),
        memory=memory,
        whose=lambda result: "used",
        stages=Stages(),
        hold=lambda who: None,
        release=lambda who: None,
    )


def test_a_look_leaves_no_file_to_a_job_that_is_done(
    tmp_path: Path, spaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was away when it was to be recorded, and is back when its folder is looked at again."""
    world = World(tmp_path)
    path = world.put("a.jpg")
    seen = Seen(os.fsencode(path), Stamp.of(os.lstat(path)), None)
    (job,) = world.backlog.begin([seen], Urgency.FRESH)
    path.unlink()
    covered: list[bool] = []
    mark = world.dirty.mark

    def look(folder: bytes) -> None:
        """Somebody is as quick as can be."""
        mark(folder)
        looker = threading.Thread(target=lambda: covered.append(world.backlog.covers(seen)))
        looker.start()
        looker.join(0.3)

    monkeypatch.setattr(world.dirty, "mark", look)
    indexer = Indexer(world.index, spaces, world.backlog, world.dirty)
    indexer.start()
    spaces.results.put(Result(job, Ignored(job.path, job.stamp)))
    until(lambda: covered, "the look")
    indexer.stop()
    world.stop()
    assert covered == [False]
    assert [stage.count for stage in spaces.stages.snapshot()] == [0, 0, 0, 1]
