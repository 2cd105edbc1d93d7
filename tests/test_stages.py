"""How long each stage has taken."""

from __future__ import annotations

import threading

import pytest

from imgqd.health.stages import PIPELINE, Stage, Stages


def test_a_pictures_way_is_there_from_the_start_in_its_order() -> None:
    stages = Stages()
    stages.add("scan", 1.0, 5)
    stages.add("write", 0.5, 16)
    stages.add("write", 0.25, 4)
    names = [stage.name for stage in stages.snapshot()]
    assert names == [*PIPELINE, "scan"]
    assert stages.snapshot()[3] == Stage("write", 0.75, 20)


def test_what_fails_is_not_timed() -> None:
    stages = Stages()
    with stages.timed("read"):
        pass
    with pytest.raises(OSError), stages.timed("read"):  # noqa: PT011
        raise OSError
    read = stages.snapshot()[0]
    assert read.count == 1
    assert read.seconds > 0


def test_nothing_is_lost_between_threads() -> None:
    stages = Stages()
    adding = [
        threading.Thread(target=lambda: [stages.add("embed", 1.0) for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    assert stages.snapshot()[2] == Stage("embed", 8000.0, 8000)
