"""imgqd from its start to its end: the page to read first.

It starts in order: the lock, the model's card, the store, the vectors, the socket; then what takes longer
and is not waited for: the text tower, the decoders and their embedder, the indexer, the watcher with its
first scan. It stops in reverse.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from imgq.errors import CannotStart, Failure
from imgq.paths import places
from imgqd import answers, in_force, parts, settings_file
from imgqd.config import Settings
from imgqd.daemon import Daemon, Life
from imgqd.health import journal
from imgqd.health.notify import is_listening, notify
from imgqd.health.opening import open_index
from imgqd.health.vigil import Vigil
from imgqd.orders import EndedEarly, Orders, in_time, start_anew, tell_reloading
from imgqd.serve import door
from imgqd.serve.gate import Gate
from imgqd.serve.server import Server

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What imgqd was called with. ready: a descriptor that is told, in one line, that the daemon
    answers, or why it cannot. Where this process starts anew, lock: the descriptor of the lock that it
    holds; kept: of the settings with which it does."""

    model: str | None = None
    ready: int | None = None
    lock: int | None = None
    kept: int | None = None


class Part(Protocol):
    """Of the daemon, with a thread of its own or several."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def run(line: CommandLine) -> int:
    """Runs until a signal or `imgq stop`; the exit code."""
    # A look at a million files makes as many records, and none of them in a circle.
    gc.set_threshold(20_000)
    orders, waiting = Orders(), Waiting(line.ready)
    orders.heed_signals()
    try:
        with ExitStack() as stack:
            daemon = _started(stack, line, orders)
            waiting.tell(None)
            others = _lived(daemon)
            with in_time(lambda: os._exit(_last(daemon, others))):
                stack.close()
    except EndedEarly:
        waiting.tell(CannotStart("the daemon was told to end before it answered"))
        return 0
    except Failure as failure:
        waiting.tell(failure)
        notify(f"STATUS={failure.message}")
        if failure.message:
            # Where stderr is the log, its disk may be full.
            with suppress(OSError):
                sys.stderr.write(f"imgqd: {failure}\n")
                sys.stderr.flush()
        return failure.exit_code
    log.info("imgqd ended")
    return _last(daemon, others)


def _lived(daemon: Daemon) -> Settings | None:
    """From the first answer to the end; the settings with which it is to start anew, if it is."""
    notify("READY=1\nSTATUS=starting: looks at every folder")
    log.info("imgqd answers, with the model %s", daemon.card.name)
    others = _wait(daemon)
    if others is not None:
        log.info("the settings have changed: imgqd starts anew")
        tell_reloading()
    else:
        notify("STOPPING=1")
    return others


def _last(daemon: Daemon, others: Settings | None) -> int:
    """The exit code, unless the daemon starts anew in this process and was not told to end since."""
    if others is not None and not daemon.life.orders.is_ending:
        start_anew(lock=daemon.life.lock, kept=in_force.handed_over(others))
    return 0


def _started(stack: ExitStack, line: CommandLine, orders: Orders) -> Daemon:
    try:
        journal.open_log(places())
        return start(stack, line, orders)
    except OSError as error:
        where = f"cannot use {error.filename}: " if error.filename else ""
        raise CannotStart(f"{where}{error.strerror or error}") from error


def start(stack: ExitStack, line: CommandLine, orders: Orders) -> Daemon:
    """Starts every part in order; the stack stops them in reverse."""
    where = places()
    now = in_force.at_start(where.settings, line.kept)
    settings = now.settings
    journal.write_as(settings.log_format)
    # Never let go of: who finds it free may be sure that this process is gone.
    lock = door.lock(where.lock, line.lock)
    # Before index and settings are touched, which may be another daemon's.
    door.clear(where.socket)
    if line.model is not None:
        settings = now.settings = replace(settings, model=line.model)
    notify(f"STATUS=makes sure of the model {settings.model}")
    if line.model is not None:
        parts.card_of(where, line.model)
    choice = parts.Choice(where, settings.model)
    notify("STATUS=opens the index")
    index = open_index(Path(where.store), choice.of)
    stack.callback(index.store.close)
    if line.model is not None:
        now.unwritten = settings_file.remember_model(where, line.model)
    gate = Gate(settings.listen)
    life = Life(now, where, orders, lock, gate)
    daemon = parts.assembled(choice.used, index, life)
    daemon.changing.take_up(choice.wanted, settings.model)

    server = Server(where.socket, lambda request: answers.answer(daemon, request), gate)
    index.tell_arrival = server.tell_news
    beginning: list[Part] = [
        server,
        daemon.care,
        daemon.spaces,
        daemon.indexer,
        daemon.changing,
        daemon.reconciler,
        daemon.courtesy,
        daemon.upkeep,
        daemon.noter,
    ]
    if is_listening():
        beginning.append(Vigil(daemon))
    for part in beginning:
        begin(part)
        stack.callback(part.stop)
    return daemon


def begin(part: Part) -> None:
    """Raises CannotStart where the system has no thread for it."""
    try:
        part.start()
    except RuntimeError as error:
        raise CannotStart(
            f"the system has no thread left for imgqd: {error}",
            "end other programs, or raise the limit on processes (`ulimit -u`, a service's TasksMax)",
        ) from error


def _wait(daemon: Daemon) -> Settings | None:
    """Until the end; or until other settings are to take effect, which are returned."""
    while (order := daemon.life.orders.next(None)) != "end":
        if order == "reload" and (settings := in_force.others(daemon)) is not None:
            return settings
    return None


class Waiting:
    """Whoever started the daemon and waits on a pipe until it answers; told once."""

    def __init__(self, ready: int | None) -> None:
        self._ready = ready

    def tell(self, failure: Failure | None) -> None:
        ready, self._ready = self._ready, None
        if ready is None:
            return
        said = {
            "exit_code": failure.exit_code if failure else 0,
            "message": failure.message if failure else "",
            "hint": failure.hint if failure else "",
        }
        # Who has gone meanwhile needs no answer.
        with suppress(BrokenPipeError), open(ready, "w") as pipe:
            json.dump(said, pipe)
