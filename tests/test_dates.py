"""Dates as people write them, by the clock of where they are."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from imgq.dates import instant
from imgq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2024, 3, 13, 15, 30, 20, 999)  # a Wednesday


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use  # type: ignore[misc]
    monkeypatch.undo()
    time.tzset()


def clock(written: str, now: datetime = NOW) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=instant("--after", written, now).clock)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("2024", "2024-01-01"),
        ("2024-06", "2024-06-01"),
        ("2024-06-05", "2024-06-05"),
        (" 2024-06-05 ", "2024-06-05"),
        ("2024-06-05 12:30", "2024-06-05T12:30"),
        ("2024-06-05T12:30:15", "2024-06-05T12:30:15"),
        ("0001", "0001-01-01"),
        ("9999-12-31", "9999-12-31"),
        ("now", "2024-03-13T15:30:20"),
        ("today", "2024-03-13"),
        ("Yesterday", "2024-03-12"),
        ("tomorrow", "2024-03-14"),
        ("this week", "2024-03-11"),
        ("last  week", "2024-03-04"),
        ("this month", "2024-03-01"),
        ("last month", "2024-02-01"),
        ("this year", "2024-01-01"),
        ("last year", "2023-01-01"),
        ("3 days ago", "2024-03-10"),
        ("a day ago", "2024-03-12"),
        ("1 week ago", "2024-03-06"),
        ("2 months ago", "2024-01-13"),
        ("14 months ago", "2023-01-13"),
        ("1 year ago", "2023-03-13"),
        ("2 hours ago", "2024-03-13T13:30:20"),
        ("45 minutes ago", "2024-03-13T14:45:20"),
        ("monday", "2024-03-11"),
        ("wednesday", "2024-03-13"),
        ("last wednesday", "2024-03-06"),
        ("sunday", "2024-03-10"),
        ("march", "2024-03-01"),
        ("june", "2023-06-01"),
        ("last june", "2023-06-01"),
        ("June 2021", "2021-06-01"),
        ("sep 2021", "2021-09-01"),
    ],
)
def test_a_date_is_its_first_instant(written: str, found: str) -> None:
    assert clock(written) == datetime.fromisoformat(found)


@pytest.mark.parametrize(
    ("now", "found"),
    [("2024-03-31", "2024-02-29"), ("2023-03-30", "2023-02-28"), ("2024-01-31", "2023-12-31")],
)
def test_a_month_ago_is_a_day_that_there_is(now: str, found: str) -> None:
    assert clock("1 month ago", datetime.fromisoformat(now)) == datetime.fromisoformat(found)


@pytest.mark.parametrize("month", range(1, 13))
def test_last_month_is_right_in_each_month(month: int) -> None:
    last = clock("last month", datetime(2024, month, 28))
    assert (last + timedelta(days=31)).replace(day=1) == datetime(2024, month, 1)


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "soon", "24", "20245", "2024-13", "2024-02-30", "2023-02-29", "2024-6-1", "2024-06-",
        "2024-06 12:00", "01/06/2024", "2024-06-01 25:00", "2024-06-01 noon", "x days ago", "3 days",
        "-3 days ago", "3 parsecs ago", "99999999 days ago", "999999 years ago", "last", "last day",
        "june 24", "ma 2024", "\u0662\u0660\u0662\u0664", "0000", "2024-06-01T12:00+99:00", "nan",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(UsageError) as refused:
        instant("--before", written, NOW)
    assert refused.value.message == f"--before takes a date, not {written!r}"
    assert "2024-06-01" in refused.value.hint


def test_a_season_is_another_one_elsewhere() -> None:
    with pytest.raises(UsageError, match="half of the earth"):
        instant("--after", "last summer", NOW)


def test_a_zone_that_is_given_counts(zone: Callable[[str], None]) -> None:
    zone("America/New_York")
    found = instant("--after", "2024-07-01T12:00:00+02:00")
    assert found.utc == datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))).timestamp()
    assert found.clock == instant("--after", "2024-07-01 06:00").clock


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("Europe/Berlin", "2024-03-31"),  # an hour short
        ("Europe/Berlin", "2024-10-27"),  # an hour long
        ("America/Sao_Paulo", "2018-11-04"),  # has no midnight
        ("America/Havana", "2024-11-03"),  # has two
        ("Pacific/Apia", "2011-12-31"),  # the day before was none
        ("Asia/Kathmandu", "2024-01-01"),
    ],
)
def test_a_day_begins_where_its_first_second_does(
    zone: Callable[[str], None], name: str, day: str
) -> None:
    zone(name)
    utc = instant("--after", day).utc
    here = ZoneInfo(name)
    assert datetime.fromtimestamp(utc, here).date().isoformat() == day
    assert datetime.fromtimestamp(utc - 1, here).date().isoformat() < day


def test_hours_are_hours_where_the_clock_is_set(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    found = instant("--after", "3 hours ago", datetime(2024, 3, 31, 4, 0))
    assert found.clock == instant("--after", "2024-03-31 00:00").clock
