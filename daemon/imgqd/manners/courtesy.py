"""When indexing waits for people: told to pause, on battery, on a busy machine, in quiet hours. Searching
goes on, and so does noticing what changes."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgqd import private_file
from imgqd.config import Settings
from imgqd.exchange.spaces import Spaces
from imgqd.manners import power
from imgqd.manners.hours import Hours
from imgqd.manners.load import Load

log = logging.getLogger(__name__)

_NAME = "courtesy"
# How often the plug and the clock are looked at: monotonic time stands still while a laptop sleeps, and
# nobody tells of a plug.
LOOK_S = 30.0
# How often it is looked how busy the others are, and over how long.
BUSY_LOOK_S = 10.0
# Where it waits for them it goes on when they take this part of what it waits for.
_LESS = 0.8
_DAY_S = 86400.0
_SIX_DAYS_S = 6 * _DAY_S


@dataclass(frozen=True, slots=True)
class Pause:
    """until: by the wall clock, in seconds; infinite where only a person ends it."""

    until: float

    @property
    def words(self) -> str:
        if math.isinf(self.until):
            return "paused by `imgq pause`"
        # A week from now a day's name is that of two.
        form = "%a %H:%M" if self.until < time.time() + _SIX_DAYS_S else "%Y-%m-%d %H:%M"
        return f"paused by `imgq pause` until {time.strftime(form, time.localtime(self.until))}"


class Courtesy(threading.Thread):
    """Holds the pipeline while there is a reason to. A pause outlives the daemon, in a file of its own."""

    def __init__(self, settings: Settings, file: str, spaces: Spaces) -> None:
        super().__init__(name="courtesy", daemon=True)
        self._on_mains_only = settings.power == "mains"
        self._most = settings.busy_percent / 100
        self._load = Load(spaces.pids)
        self._is_busy = False
        self._quiet = [Hours.of(words) for words in settings.quiet_hours]
        self._file = file
        self._spaces = spaces
        self._changed = threading.Event()
        self._ending = False
        self._looking = threading.Lock()
        self._pause = _read(file)
        # When pause and quiet hours are over, by the wall clock; None where there are none now.
        self._ends: float | None = None
        self.reason: str | None = None
        self._look()

    def run(self) -> None:
        while not self._ending:
            self._changed.wait(self._patience)
            self._changed.clear()
            self._look()

    def stop(self) -> None:
        self._ending = True
        self._changed.set()
        self.join()

    def pause(self, seconds: float | None) -> None:
        """For so many seconds, or until `resume`."""
        until = math.inf if seconds is None else time.time() + seconds
        self._set(Pause(until))

    def resume(self) -> None:
        self._set(None)

    def _set(self, pause: Pause | None) -> None:
        with self._looking:
            _write(self._file, pause)
            self._pause = pause
        self._look()
        self._changed.set()

    def wait_s(self) -> float:
        """Seconds until indexing may go on: infinite on battery, and in a pause that only a person ends."""
        if self._on_mains_only and power.is_on_battery():
            return math.inf
        return 0.0 if self._ends is None else max(self._ends - time.time(), 0.0)

    @property
    def _patience(self) -> float | None:
        """Seconds to the next look; None where neither time, nor the plug, nor others change anything."""
        look = BUSY_LOOK_S if self._most else LOOK_S
        if self._ends is not None and not math.isinf(self._ends):
            return min(look, max(self._ends - time.time(), 0.0))
        return look if self._most or self._on_mains_only or self._quiet else None

    def _look(self) -> None:
        with self._looking:
            self._end_pause()
            self._ends = self._end_of_hours()
            self._give(next(self._reasons(), None))

    def _end_pause(self) -> None:
        if self._pause is not None and self._pause.until <= time.time():
            self._pause = None
            _write(self._file, None)

    def _end_of_hours(self) -> float | None:
        """When pause and quiet hours are over; None where there are none now."""
        now = time.time()
        ends = now if self._pause is None else self._pause.until
        longest = ends + 2 * _DAY_S
        # Where one of them ends another may have begun.
        while (
            ends < longest
            and (later := max((each.until(ends) for each in self._quiet), default=ends)) > ends
        ):
            ends = later
        if ends == now:
            return None
        return ends if ends < longest else math.inf

    def _give(self, reason: str | None) -> None:
        if reason != self.reason:
            log.info("indexing %s", f"waits: {reason}" if reason else "goes on")
        self.reason = reason
        if reason is None:
            self._spaces.release(_NAME)
        else:
            self._spaces.hold(_NAME)

    def _reasons(self) -> Iterator[str]:
        if self._pause is not None:
            yield self._pause.words
        if self._on_mains_only and power.is_on_battery():
            yield 'on battery, and `power` is "mains"'
        if self._most and self._others_are_busy():
            yield "other programs are busy"
        now = time.localtime()
        for hours in self._quiet:
            if hours.hold(now.tm_hour * 60 + now.tm_min):
                yield f"in the quiet hours {hours}"

    def _others_are_busy(self) -> bool:
        if (share := self._load.of_others()) is not None:
            self._is_busy = share > self._most * (_LESS if self._is_busy else 1)
        return self._is_busy


def _read(file: str) -> Pause | None:
    try:
        with open(file, "rb") as opened:
            until = json.load(opened)
    except (OSError, ValueError):
        return None
    if until is None:
        return Pause(math.inf)
    return Pause(float(until)) if isinstance(until, int | float) else None


def _write(file: str, pause: Pause | None) -> None:
    """A disk that is full keeps nobody from pausing: only a restart forgets it."""
    if pause is None:
        with contextlib.suppress(OSError):
            os.unlink(file)
        return
    try:
        until = None if math.isinf(pause.until) else pause.until
        private_file.put(Path(file), json.dumps(until))
    except OSError as error:
        log.warning("the pause will not outlive the daemon: %s", error.strerror)
