"""Dates in words: the first instant of what they name, by the local clock.

    2024   2024-06   2024-06-01   "2024-06-01 12:30"   2024-06-01T12:30:00+02:00
    today   yesterday   "last week"   "this month"   "3 days ago"   "2 hours ago"   monday   "june 2024"

A week begins on Monday. A weekday or a month without a year is the latest that has begun.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imgq.errors import UsageError
from imgq.wire import Instant

EXAMPLES = "`2024`, `2024-06-01`, `'2024-06-01 12:30'`, `yesterday`, `'last week'`, `'3 days ago'`"
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = ("spring", "summer", "autumn", "fall", "winter")
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_CLOCK = {"second": 1, "minute": 60, "hour": 3600}
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


def instant(option: str, written: str, now: datetime | None = None) -> Instant:
    """The first instant of a date; now: the local clock. Raises UsageError that names the option."""
    now = (now or datetime.now()).replace(microsecond=0, tzinfo=None)
    words = written.lower().split()
    if any(season in words for season in _SEASONS):
        raise UsageError(
            f"{option} {written!r}: a season begins at another time on each half of the earth",
            f"name its first month: `{option} 'june {now.year - 1}'`",
        )
    try:
        found = _said(words, now) or _numbers(written.strip())
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise UsageError(f"{option} takes a date, not {written!r}", f"as in {EXAMPLES}")
    return _instant(found)


def _said(words: list[str], now: datetime) -> datetime | None:
    today = now.replace(hour=0, minute=0, second=0)
    match words:
        case ["now"]:
            return now
        case [day] if day in _DAYS:
            return today + timedelta(days=_DAYS[day])
        case [("this" | "last") as which, ("week" | "month" | "year") as unit]:
            return _begun(today, unit, 1 if which == "last" else 0)
        case [count, unit, "ago"]:
            return _ago(1 if count in ("a", "an", "one") else _count(count), unit, now)
        case [day] | ["last", day] if day in _WEEKDAYS:
            back = (today.weekday() - _WEEKDAYS.index(day)) % 7
            return today - timedelta(days=back or 7 * (words[0] == "last"))
        case [month] | ["last", month] if _month(month):
            begun = today.replace(month=_month(month), day=1)
            return begun if begun <= today else begun.replace(year=today.year - 1)
        case [month, year] if _month(month) and len(year) == 4:
            return datetime(_count(year), _month(month), 1)
    return None


def _begun(today: datetime, unit: str, back: int) -> datetime:
    """The first day of this week, month or year, or of one so far back."""
    if unit == "week":
        return today - timedelta(days=today.weekday() + 7 * back)
    if unit == "month":
        return _months_ago(today.replace(day=1), back)
    return today.replace(year=today.year - back, month=1, day=1)


def _ago(count: int, unit: str, now: datetime) -> datetime | None:
    unit = unit.removesuffix("s")
    if unit in _CLOCK:
        # An hour is an hour, whatever is done to clocks in it.
        then = datetime.fromtimestamp(now.timestamp() - count * _CLOCK[unit])
        return then.replace(microsecond=0)
    today = now.replace(hour=0, minute=0, second=0)
    match unit:
        case "day" | "week":
            return today - timedelta(days=count * (7 if unit == "week" else 1))
        case "month" | "year":
            return _months_ago(today, count * (12 if unit == "year" else 1))
    return None


def _months_ago(day: datetime, months: int) -> datetime:
    """The same day of that month, or its last."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        if last <= day.day:
            try:
                return day.replace(year=year, month=month + 1, day=last)
            except ValueError:
                continue
    raise ValueError(f"there is no year {year}")


def _numbers(written: str) -> datetime | None:
    day, _, clock = written.replace("T", " ", 1).partition(" ")
    parts = day.split("-")
    if [len(part) for part in parts] != [4, 2, 2][: len(parts)]:
        return None
    year, month, number = map(_count, [*parts, "01", "01"][:3])
    if not clock:
        return datetime(year, month, number)
    return datetime.fromisoformat(f"{day}T{clock.strip()}") if len(parts) == 3 else None


def _instant(found: datetime) -> Instant:
    if found.tzinfo is None:
        return Instant(utc=_utc(found), clock=(found - _EPOCH) // _SECOND)
    utc = (found - _EPOCH.replace(tzinfo=UTC)) // _SECOND
    try:
        clock = datetime.fromtimestamp(utc)
    except (OverflowError, ValueError, OSError):
        clock = found.replace(tzinfo=None)
    return Instant(utc=utc, clock=(clock - _EPOCH) // _SECOND)


def _utc(local: datetime) -> int:
    try:
        return int(local.timestamp() // 1)
    except (OverflowError, ValueError, OSError):
        # At either end of the calendar.
        return (local - _EPOCH) // _SECOND


def _count(digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or len(digits) > 6:
        raise ValueError(f"{digits!r} is no number")
    return int(digits)


def _month(word: str) -> int:
    """1 to 12; 0 where it is none. Three letters are enough."""
    found = [n for n, month in enumerate(_MONTHS, 1) if month.startswith(word)]
    return found[0] if len(word) >= 3 and len(found) == 1 else 0
