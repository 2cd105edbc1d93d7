"""Hours of a day: "22:00-07:00"."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_FORM = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """From a minute of the day up to another, which may be of the next."""

    begin: int
    end: int

    @classmethod
    def of(cls, words: str) -> Hours:
        """Raises ValueError where these are no hours."""
        found = _FORM.fullmatch(words.replace(" ", ""))
        if found is None:
            raise ValueError(f"{words!r} are no hours as 22:00-07:00")
        first, second, third, fourth = map(int, found.groups())
        begin, end = 60 * first + second, 60 * third + fourth
        if max(begin, end) > _DAY or begin == end:
            raise ValueError(f"{words!r} are no hours of one day")
        return cls(begin, end)

    def hold(self, minute: int) -> bool:
        """Whether a minute of the day, from 0 on, is one of them."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def until(self, moment: float) -> float:
        """When these hours end that hold at a moment of the wall clock, in seconds; else the moment."""
        now = time.localtime(moment)
        minute = now.tm_hour * 60 + now.tm_min
        if not self.hold(minute):
            return moment
        left = (self.end - minute - 1) % _DAY + 1
        return moment - now.tm_sec + left * 60

    def __str__(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
