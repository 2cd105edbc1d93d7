"""Hints, gathered until they are quiet: on a clock of the test's own, and once across threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from imgqd.library import dirty as module
from imgqd.library.dirty import LONGEST_S, QUIET_S, Dirty, Hints


class Clock:
    """A time that passes only while somebody waits, with things that happen at their moments.

    late: by how much a waiter oversleeps, as on a busy machine.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.late = 0.0
        self.planned: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, happens: Callable[[], object]) -> None:
        self.planned.append((1000.0 + moment, happens))
        self.planned.sort(key=lambda each: each[0])

    def wait(self, timeout: float | None = None) -> bool:
        woken = [moment for moment, _ in self.planned[:1]]
        end = min([self.now + (timeout or 0.0), *woken]) + self.late
        while self.planned and self.planned[0][0] <= end:
            self.now, happens = self.planned.pop(0)
            happens()
        self.now = end
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def dirty(clock: Clock) -> Dirty:
    dirty = Dirty()
    dirty._changed.wait = clock.wait  # type: ignore[method-assign]
    return dirty


def taken(dirty: Dirty, clock: Clock, timeout: float = 60.0) -> tuple[float, Hints]:
    hints = dirty.take(timeout)
    return round(clock.now - 1000.0, 2), hints


def test_a_set_is_taken_when_nothing_is_added_for_a_while(clock: Clock, dirty: Dirty) -> None:
    for moment, folder in ((0.0, b"/a"), (0.2, b"/b"), (0.4, b"/c")):
        clock.at(moment, lambda folder=folder: dirty.mark(folder))
    moment, hints = taken(dirty, clock)
    assert hints.folders == {b"/a", b"/b", b"/c"}
    assert moment == 0.4 + QUIET_S


def test_a_folder_that_never_rests_is_taken_all_the_same(clock: Clock, dirty: Dirty) -> None:
    for step in range(40):
        clock.at(step * 0.1, lambda: dirty.mark(b"/a"))
    first, _ = taken(dirty, clock)
    second, _ = taken(dirty, clock)
    third, _ = taken(dirty, clock)
    assert [first, second, third] == [LONGEST_S, 1.1 + LONGEST_S, 2.2 + LONGEST_S]


def test_a_taker_that_comes_late_takes_at_once(clock: Clock, dirty: Dirty) -> None:
    clock.late = 0.05
    for step in range(4000):
        clock.at(step * 0.001, lambda: dirty.mark(b"/a"))
    first, _ = taken(dirty, clock)
    assert first <= LONGEST_S + 2 * clock.late


def test_what_comes_after_a_set_has_its_own_quiet(clock: Clock, dirty: Dirty) -> None:
    dirty.mark(b"/a")
    assert taken(dirty, clock)[0] == QUIET_S
    clock.at(LONGEST_S, lambda: dirty.mark(b"/b"))
    assert taken(dirty, clock)[0] == LONGEST_S + QUIET_S


def test_nothing_comes_of_nothing(clock: Clock, dirty: Dirty) -> None:
    moment, hints = taken(dirty, clock, 2.0)
    assert not hints
    assert moment == 2.0
    assert dirty.waiting == 0


def test_who_is_in_a_hurry_waits_for_no_quiet(clock: Clock, dirty: Dirty) -> None:
    dirty.mark_everything()
    dirty.hurry()
    dirty.mark(b"/a")
    moment, hints = taken(dirty, clock)
    assert hints.everything
    assert moment == 0.0


def test_later_is_not_now(clock: Clock, dirty: Dirty) -> None:
    dirty.mark_later(b"/a", 5.0)
    dirty.mark_later(b"/a", 9.0)
    dirty.mark_later(b"/b", 7.0)
    assert dirty.waiting == 2
    assert taken(dirty, clock) == (5.0, Hints(folders={b"/a"}))
    dirty.done()
    assert dirty.waiting == 1
    assert taken(dirty, clock) == (7.0, Hints(folders={b"/b"}))


def test_what_only_might_change_does_not_count_as_waiting(clock: Clock, dirty: Dirty) -> None:
    dirty.mark_later(b"/a", 5.0, counts=False)
    assert dirty.waiting == 0
    assert taken(dirty, clock) == (5.0, Hints(folders={b"/a"}))


def test_what_is_taken_waits_until_it_is_done(clock: Clock, dirty: Dirty) -> None:
    dirty.mark(b"/a")
    dirty.mark_deep(b"/b")
    assert dirty.waiting == 2
    taken(dirty, clock)
    assert dirty.waiting == 1
    dirty.mark(b"/c")
    assert dirty.waiting == 2
    dirty.done()
    assert dirty.waiting == 1


def test_a_hint_keeps_what_was_seen(clock: Clock, dirty: Dirty) -> None:
    dirty.mark(b"/a", closed=b"/a/red.jpg")
    dirty.mark(b"/a", emptied=True)
    dirty.mark_deep(b"/b")
    _, hints = taken(dirty, clock)
    assert hints == Hints({b"/a"}, {b"/b"}, {b"/a/red.jpg"}, {b"/a"})


def test_too_many_folders_become_those_above_them(
    clock: Clock, dirty: Dirty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOLDERS", 100)
    for number in range(300):
        dirty.mark(b"/roots/%d/a" % (number // 10), closed=b"/%d.jpg" % number)
        dirty.mark_deep(b"/roots/%d/b" % (number // 10))
        dirty.mark(b"/roots/%d/c/%d" % (number // 10, number))
    _, hints = taken(dirty, clock)
    assert not hints.everything
    assert len(hints.folders | hints.deep) <= 100
    for number in range(300):
        folder = b"/roots/%d" % (number // 10)
        assert {folder, os.path.dirname(folder)} & hints.deep or folder + b"/a" in hints.folders
    assert len(hints.closed) == 300


def test_too_many_even_so_become_everything(
    clock: Clock, dirty: Dirty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOLDERS", 100)
    dirty.mark(b"/emptied", emptied=True)
    most = 0
    for number in range(1000):
        dirty.mark(b"/%d/a" % number, emptied=True)
        dirty.mark_deep(b"/%d/b" % number)
        most = max(most, len(dirty._hints.folders) + len(dirty._hints.deep))
    assert len(dirty._hints.emptied) <= 201
    _, hints = taken(dirty, clock)
    assert hints.everything
    assert b"/emptied" in hints.emptied, "it lies higher than the others"
    assert most <= 101


def test_of_too_many_files_it_is_forgotten_that_they_were_closed(
    clock: Clock, dirty: Dirty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CLOSED", 100)
    for number in range(150):
        dirty.mark(b"/a", closed=b"/a/%d.jpg" % number)
    _, hints = taken(dirty, clock)
    assert (hints.folders, hints.everything) == ({b"/a"}, False)
    assert len(hints.closed) <= 100


def test_a_set_that_grows_wakes_nobody(clock: Clock, dirty: Dirty) -> None:
    """Whoever waits for it to be quiet would only wait on: 27,000 events a second would hold him up."""
    woken: list[int] = []
    dirty._changed.notify_all = lambda: woken.append(1)  # type: ignore[method-assign]
    for number in range(100):
        dirty.mark(b"/%d" % number)
    assert len(woken) == 1
    taken(dirty, clock)
    dirty.mark(b"/a")
    assert len(woken) == 2


def test_a_hurry_is_for_what_is_there(clock: Clock, dirty: Dirty) -> None:
    dirty.hurry()
    dirty.mark(b"/a")
    assert taken(dirty, clock)[0] == QUIET_S


@pytest.mark.parametrize("hurried", [False, True])
def test_a_mark_wakes_another_thread(hurried: bool) -> None:
    dirty = Dirty()
    if hurried:
        dirty.hurry()
    found: list[Hints] = []
    taker = threading.Thread(target=lambda: found.append(dirty.take(60.0)))
    taker.start()
    dirty.mark(b"/a")
    taker.join(60.0)
    assert found == [Hints(folders={b"/a"})]
