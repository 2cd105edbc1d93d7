"""A folder as it is, held against the rows of the store; on a clock of the test's own."""

from __future__ import annotations

import os
import stat
from dataclasses import astuple, dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imgqd.library import compare as module
from imgqd.library.compare import (
    FIRST_RETRY_S,
    FORGET_S,
    IGNORED_RETRY_S,
    LONGEST_RETRY_S,
    STILL_S,
    Comparison,
    Differences,
    Seen,
    View,
    paired,
)
from imgqd.library.scan import Entry
from imgqd.records import Failure, FailureKind, Stamp
from imgqd.store import LedgerEntry, Row
from imgqd.store.files import NAME, Listed

NOW = 1_700_000_000.0
OLD = Stamp(size=10, mtime_ns=10**18, ctime_ns=10**18, inode=7, device=1)


class Clock:
    now = NOW

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    told = SimpleNamespace(
        time=lambda: clock.now,
        time_ns=lambda: int(clock.now * 1e9),
        monotonic=lambda: clock.now - NOW,
    )
    monkeypatch.setattr(module, "time", told)
    return clock


@pytest.fixture
def comparison(clock: Clock) -> Comparison:
    return Comparison("decoder-1")


@dataclass(slots=True)
class Found(Differences):
    changed: list[Seen] = field(default_factory=list)


def listed(name: bytes, row: Row) -> Listed:
    """As the store lists it."""
    picture = 1 if row.state in ("indexed", "pending") else None
    embedded = 1 if row.state == "indexed" else None
    ledger: tuple[object, ...] = (None,) * 6
    if row.ledger is not None:
        ledger = (*astuple(row.ledger.failure), *astuple(row.ledger)[1:])
    at_rest = row.trusted and row.state in ("indexed", "ignored")
    return (b"/r", name, *astuple(row.stamp), row.trusted, picture, embedded, *ledger, at_rest)


def entry(name: bytes, stamp: Stamp, mode: int = stat.S_IFREG) -> Entry:
    told = SimpleNamespace(
        st_mode=mode,
        st_size=stamp.size,
        st_mtime_ns=stamp.mtime_ns,
        st_ctime_ns=stamp.ctime_ns,
        st_ino=stamp.inode,
        st_dev=stamp.device,
    )
    return name, cast(os.stat_result, told)


def compared(
    comparison: Comparison, entries: list[Entry], rows: list[Listed], **view: Any
) -> Found:
    found = Found()
    told = {"closed": set(), "steady": True, "is_known": lambda _: False} | view
    pairs = paired(entries, rows, told["steady"], found)
    found.changed.extend(comparison.of(b"/r", pairs, View(**told), found))
    return found


def of(comparison: Comparison, seen: Stamp | None, row: Row | None, **view: Any) -> Found:
    entries = [entry(b"a.jpg", seen)] if seen else []
    return compared(comparison, entries, [listed(b"a.jpg", row)] if row else [], **view)


def known(stamp: Stamp = OLD, trusted: bool = True) -> Row:
    return Row(stamp, trusted, "indexed")


def failed(kind: FailureKind, attempts: int = 1, decoder: str = "decoder-1", ago: float = 0) -> Row:
    entry = LedgerEntry(Failure(kind, "a reason"), attempts, 0.0, NOW - ago, decoder)
    return Row(OLD, True, "failed", entry)


def age(seconds: float, stamp: Stamp = OLD) -> Stamp:
    moment = int((NOW - seconds) * 1e9)
    return replace(stamp, mtime_ns=moment, ctime_ns=moment)


def test_what_is_as_it_was_is_nothing(comparison: Comparison) -> None:
    assert of(comparison, OLD, known()) == Found(looked=1)
    assert of(comparison, OLD, Row(OLD, True, "ignored")) == Found(looked=1)


def test_what_is_at_rest_is_counted_and_told_to_nobody() -> None:
    there = [entry(b"a", OLD), entry(b"b", OLD, stat.S_IFDIR), entry(b"c", OLD), entry(b"d", OLD)]
    rows = [listed(b"a", known()), listed(b"b", known()), listed(b"c", known(trusted=False))]
    found = Differences()
    assert [name for (name, _), _ in paired(there, rows, True, found)] == [b"c", b"d"]
    assert (found.looked, found.folders, found.gone) == (4, [b"b"], [b"b"])


@pytest.mark.parametrize(("files", "times"), [(1, 1), (16, 1), (17, 2)])
def test_a_look_gives_way_in_small_folders_too(
    monkeypatch: pytest.MonkeyPatch, files: int, times: int
) -> None:
    called: list[None] = []
    monkeypatch.setattr(module, "give_way", lambda: called.append(None))
    list(paired([entry(b"%04d" % each, OLD) for each in range(files)], [], True, Differences()))
    assert len(called) == times


def test_a_new_file_is_read_and_a_missing_one_is_gone(comparison: Comparison) -> None:
    found = of(comparison, OLD, None)
    assert found.changed == [Seen(b"/r/a.jpg", OLD, None)]
    assert of(comparison, None, known()).gone == [b"a.jpg"]


@pytest.mark.parametrize("field", ["size", "mtime_ns"])
@pytest.mark.parametrize("steady", [True, False])
def test_another_size_or_time_is_another_file(
    comparison: Comparison, field: str, steady: bool
) -> None:
    seen = replace(OLD, **{field: getattr(OLD, field) - 1})
    assert of(comparison, seen, known(), steady=steady).changed == [
        Seen(b"/r/a.jpg", seen, "indexed")
    ]


@pytest.mark.parametrize("field", ["ctime_ns", "inode"])
def test_inode_and_ctime_count_where_the_file_system_keeps_them(
    comparison: Comparison, field: str
) -> None:
    seen = replace(OLD, **{field: getattr(OLD, field) - 1})
    assert of(comparison, seen, known()).changed == [Seen(b"/r/a.jpg", seen, "indexed")]
    assert of(comparison, seen, known(), steady=False) == Found(looked=1)


def test_another_device_number_is_no_change(comparison: Comparison) -> None:
    assert of(comparison, replace(OLD, device=2), known()) == Found(looked=1)


def test_a_stamp_as_young_as_the_look_is_not_trusted(comparison: Comparison) -> None:
    assert of(comparison, OLD, known(trusted=False)).changed == [Seen(b"/r/a.jpg", OLD, "indexed")]


def test_what_waits_for_its_embedding_is_read(comparison: Comparison) -> None:
    assert of(comparison, OLD, Row(OLD, True, "pending")).changed


def test_a_young_file_waits_until_it_is_still(comparison: Comparison, clock: Clock) -> None:
    found = of(comparison, age(0.5), None)
    assert (found.changed, found.unready) == ([], [Seen(b"/r/a.jpg", age(0.5), None)])
    assert found.unready_s == pytest.approx(1.5)
    clock.passes(found.unready_s)
    assert of(comparison, age(0.5), None).changed


def test_a_file_that_goes_on_changing_goes_on_waiting(comparison: Comparison, clock: Clock) -> None:
    for step in range(20):
        seen = replace(age(-step), size=step)
        assert of(comparison, seen, None).unready
        clock.passes(1.0)
    clock.passes(2.0)
    assert of(comparison, replace(age(-19), size=19), None).changed


def test_a_file_that_was_moved_or_given_another_mode_is_as_old_as_its_bytes(
    comparison: Comparison,
) -> None:
    assert of(comparison, replace(age(0.5), mtime_ns=0), None).changed


def test_a_file_that_was_seen_to_be_closed_is_read_at_once(comparison: Comparison) -> None:
    found = of(comparison, age(0.1), None, closed={b"/r/a.jpg"})
    assert found.changed == [Seen(b"/r/a.jpg", age(0.1), None)]
    assert of(comparison, age(0.1), None, closed={b"/r/b.jpg"}).changed == []


@pytest.mark.parametrize("ahead", [3600.0, 80 * 365 * 86400.0])
def test_a_stamp_in_the_future_waits_as_long_as_any(
    comparison: Comparison, clock: Clock, ahead: float
) -> None:
    """A clock that was set back must not keep a file out for a year."""
    assert of(comparison, age(-ahead), None).unready
    clock.passes(1.0)
    assert of(comparison, age(-ahead), None).unready_s == pytest.approx(1.0)
    clock.passes(1.0)
    assert of(comparison, age(-ahead), None).changed


def test_a_young_file_of_which_nothing_more_is_seen_is_forgotten(
    comparison: Comparison, clock: Clock
) -> None:
    for number in range(5):
        assert compared(comparison, [entry(b"%d.jpg" % number, age(0))], []).unready
    clock.passes(FORGET_S)
    assert compared(comparison, [entry(b"last.jpg", age(-2 * FORGET_S))], []).unready
    clock.passes(STILL_S)
    assert len(comparison._first_seen) == 1
    assert compared(comparison, [entry(b"last.jpg", age(-2 * FORGET_S))], []).changed


def test_a_stamp_of_long_ago_is_as_good_as_any(comparison: Comparison) -> None:
    seen = replace(OLD, mtime_ns=-(10**18), ctime_ns=0)
    assert of(comparison, seen, None).changed
    assert of(comparison, seen, known(seen)) == Found(looked=1)


def test_a_young_file_whose_bytes_are_known_has_only_moved(comparison: Comparison) -> None:
    known = [age(0.5)]
    assert of(comparison, age(0.5), None, is_known=known.__contains__).changed
    assert of(comparison, age(0.4), None, is_known=known.__contains__).unready


def test_a_log_that_goes_on_growing_is_nothing_to_wait_for(comparison: Comparison) -> None:
    row = Row(OLD, True, "ignored")
    found = compared(comparison, [entry(b"x.log", age(0.5))], [listed(b"x.log", row)])
    assert (found.changed, found.unready, found.later) == ([], [], IGNORED_RETRY_S)
    assert compared(comparison, [entry(b"x.log", age(3))], [listed(b"x.log", row)]).changed
    assert of(comparison, age(0.5), row).unready


def test_files_and_rows_are_held_together_by_name(comparison: Comparison) -> None:
    here, there = (b"b", b"d", b"e", b"f\xff"), (b"a", b"c", b"d", b"e", b"f", b"g")
    entries = [entry(name, OLD) for name in here]
    found = compared(comparison, entries, [listed(name, known()) for name in there])
    assert found.gone == [b"a", b"c", b"f", b"g"]
    assert [seen.path for seen in found.changed] == [b"/r/b", b"/r/f\xff"]


def test_a_file_that_is_a_folder_now_is_gone(comparison: Comparison) -> None:
    entries = [entry(b"a.jpg", OLD, stat.S_IFDIR), entry(b"b.jpg", OLD)]
    found = compared(comparison, entries, [listed(b"a.jpg", known()), listed(b"b.jpg", known())])
    assert (found.gone, found.folders, found.changed) == ([b"a.jpg"], [b"a.jpg"], [])


def test_the_shortest_wait_of_a_folder_counts(comparison: Comparison) -> None:
    found = compared(comparison, [entry(b"a.jpg", age(0.1)), entry(b"b.jpg", age(1.6))], [])
    assert len(found.unready) == 2
    assert found.unready_s == pytest.approx(0.4)


@pytest.mark.parametrize("kind", ["damaged", "unsupported", "too_large"])
def test_a_fault_of_the_picture_is_final(comparison: Comparison, kind: FailureKind) -> None:
    assert of(comparison, OLD, failed(kind)) == Found(looked=1)
    changed = replace(OLD, size=11)
    assert of(comparison, changed, failed(kind)).changed


@pytest.mark.parametrize("kind", ["damaged", "crashed", "unreadable"])
def test_another_decoder_tries_again(comparison: Comparison, kind: FailureKind) -> None:
    row = failed(kind, attempts=2, decoder="decoder-0", ago=1.0)
    assert of(comparison, OLD, row).changed


@pytest.mark.parametrize("kind", ["crashed", "timeout"])
def test_a_crash_is_tried_twice(comparison: Comparison, kind: FailureKind) -> None:
    assert of(comparison, OLD, failed(kind)).changed
    assert of(comparison, OLD, failed(kind, attempts=2)) == Found(looked=1)


def test_a_read_error_is_tried_ever_more_seldom(comparison: Comparison, clock: Clock) -> None:
    waits = [of(comparison, OLD, failed("unreadable", attempts)).later for attempts in (1, 2, 3)]
    assert waits == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert of(comparison, OLD, failed("unreadable", 10_000)).later == LONGEST_RETRY_S
    clock.passes(FIRST_RETRY_S)
    assert of(comparison, OLD, failed("unreadable")).changed


@pytest.mark.parametrize("kind", ["unreadable", "crashed"])
def test_a_clock_that_was_put_back_puts_no_retry_off(
    comparison: Comparison, clock: Clock, kind: FailureKind
) -> None:
    row = failed(kind, ago=10.0)
    clock.passes(-365 * 86400)
    assert of(comparison, OLD, row).changed


def test_the_soonest_retry_of_a_folder_counts(comparison: Comparison) -> None:
    rows: list[Listed] = [
        listed(b"a.jpg", failed("unreadable", 3)),
        listed(b"b.jpg", failed("unreadable", 1, ago=10.0)),
    ]
    found = compared(comparison, [entry(row[NAME], OLD) for row in rows], rows)
    assert found.later == pytest.approx(FIRST_RETRY_S - 10.0)
