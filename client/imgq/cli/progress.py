"""Waiting where a person can see what for."""

from __future__ import annotations

import os
import sys
import time

import click

from imgq import wire
from imgq.client import ask

_WIDTH = 28


def status() -> wire.Status:
    reply = ask(wire.AskStatus())
    assert isinstance(reply, wire.Status)
    return reply


def until_settled() -> None:
    """A bar until every file is in the index; Ctrl-C leaves the daemon to go on by itself."""
    most = 0
    try:
        while not (now := status()).settled:
            most = max(most, now.index.pending)
            _draw(bar(now, most))
            if now.waiting:
                _draw(f"{now.index.pending} to go; indexing waits: {now.waiting}\n")
                return
            time.sleep(0.2)
    except KeyboardInterrupt:
        _draw("the daemon goes on in the background; `imgq status` tells how far it is\n")
        return
    _draw(summary(now) + "\n")


def bar(now: wire.Status, most: int) -> str:
    """How far an index of `most` pending files has come."""
    done = 0.0 if not most else 1 - now.index.pending / most
    filled = round(done * _WIDTH)
    rest = "─" * (_WIDTH - filled)
    line = "━" * filled + (rest if os.environ.get("NO_COLOR") else click.style(rest, dim=True))
    speed = f"  {now.rates.pictures_per_s:.0f}/s" if now.rates.pictures_per_s else ""
    waiting = "  the model is loading" if now.model.state == "loading" else ""
    return f"  {line}  {now.index.pending} to go{speed}{waiting}"


def summary(now: wire.Status) -> str:
    failed = (
        f", {now.index.failed} could not be indexed (`imgq errors`)" if now.index.failed else ""
    )
    return f"{now.index.files} files can be found{failed}"


def _draw(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
