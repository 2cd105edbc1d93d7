"""How the daemon does, as a service manager is told: a line of words, and signs of life."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

from imgq.errors import StoreError
from imgqd.health.journal import NEWS
from imgqd.health.notify import notify, watchdog_s

if TYPE_CHECKING:
    from imgqd.daemon import Daemon

log = logging.getLogger(__name__)

# How often it is looked whether there is something else to say.
LOOK_S = 5.0


class Part(Protocol):
    """progress: another value whenever the part gets on with its work; None while it has none."""

    @property
    def progress(self) -> object: ...

    def is_alive(self) -> bool: ...


class Vigil(threading.Thread):
    """Tells while it is not stopped. A sign of life is given when all that works is alive, gets on with its
    work, and the index can be read."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(name="vigil", daemon=True)
        self._daemon = daemon
        self._longest_s = watchdog_s()
        self._look_s = min(LOOK_S, (self._longest_s or LOOK_S) / 4)
        self._next_sign = time.monotonic()
        self._ending = threading.Event()
        self._said = ""
        self._seen: dict[Part, tuple[object, float]] = {}
        self._trouble: str | None = None

    def run(self) -> None:
        while not self._ending.wait(self._look_s):
            try:
                self._look()
            except Exception:
                log.exception("a service manager could not be told: this is a bug")

    def stop(self) -> None:
        self._ending.set()
        self.join(self._look_s)

    def _look(self) -> None:
        if (words := in_words(self._daemon)) != self._said:
            self._said = words
            notify(f"STATUS={words}")
        now = time.monotonic()
        if self._longest_s is not None and now >= self._next_sign and self._is_well():
            self._next_sign = now + self._longest_s / 2
            notify("WATCHDOG=1")

    def _is_well(self) -> bool:
        trouble = self._what_is_wrong()
        if trouble is not None and trouble != self._trouble:
            log.error("no sign of life is given: %s", trouble, extra=NEWS)
        self._trouble = trouble
        return trouble is None

    def _what_is_wrong(self) -> str | None:
        daemon = self._daemon
        for part in (daemon.indexer, daemon.reconciler):
            if not part.is_alive() or self._is_stuck(part):
                return f"the {part.name} does not get on"
        if not daemon.lookout.is_alive:
            return "the watcher is gone"
        for other in (
            daemon.pipeline,
            daemon.upkeep,
            daemon.care,
            daemon.courtesy,
            daemon.changing,
        ):
            if not other.is_alive():
                return f"a part has ended: {type(other).__name__.lower()}"
        try:
            daemon.index.store.check_file()
        except StoreError as error:
            return error.message
        return "the index is damaged" if daemon.index.store.damage.is_set() else None

    def _is_stuck(self, part: Part) -> bool:
        """Whether it has been at one piece of work for as long as the manager waits for a sign."""
        assert self._longest_s is not None
        progress, now = part.progress, time.monotonic()
        before, since = self._seen.get(part, (None, now))
        if progress is None or progress != before:
            self._seen[part] = progress, now
            return False
        return now - since >= self._longest_s


def in_words(daemon: Daemon) -> str:
    """What the daemon does, in a line."""
    if not daemon.reconciler.has_scanned:
        return "starting: looks at every folder"
    now = daemon.freshness()
    if daemon.courtesy.reason is not None:
        return f"waits: {daemon.courtesy.reason}; {now.pending} files pending"
    if not now.settled:
        rate = daemon.pipeline.batches.rate
        return f"indexing: {now.pending} files pending" + f", {rate:.0f} pictures/s" * bool(rate)
    if (change := daemon.changing.told()) is not None:
        return f"changes to the model {change.model}: {change.done} of {change.of} pictures"
    return f"idle: {now.files} files can be found"
