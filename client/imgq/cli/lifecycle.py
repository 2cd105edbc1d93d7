"""`imgq stop`, `restart`, `logs`, `wait`."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections import deque

import click

from imgq import wire
from imgq.cli import progress
from imgq.client import ask, settle
from imgq.errors import NoDaemon, ProtocolMismatch, TimedOut
from imgq.paths import places, socket_address

STOPPING_S = 20.0


@click.command()
def stop() -> None:
    """End the daemon; returns when all its processes are gone."""
    if not end():
        click.echo("imgq: no daemon was running", err=True)


@click.command()
def restart() -> None:
    """Stop the daemon and start it again."""
    from imgq.cli.start import ensure

    end()
    ensure()


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="How many of the last lines.",
)
def logs(follow: bool, lines: int) -> None:
    """Show the daemon's log."""
    try:
        file = open(places().log, "rb")  # noqa: SIM115 - closed with the process, after the last line
    except FileNotFoundError:
        click.echo("imgq: there is no log yet", err=True)
        return
    sys.stdout.buffer.writelines(deque(file, lines))
    while follow:
        sys.stdout.buffer.write(file.read())
        sys.stdout.flush()
        time.sleep(0.3)


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86400),
    default=86400.0,
    metavar="S",
    help="How many seconds at most; a day.",
)
def wait(timeout: float) -> None:
    """Return when every change made before this call is in the index."""
    settle(timeout)


def end() -> bool:
    """Ends the daemon and waits until it is gone; False where none was running."""
    try:
        ask(wire.Stop(), STOPPING_S)
    except TimedOut:
        raise
    except NoDaemon:
        return not lock_is_free() and _until_gone()
    except ProtocolMismatch:
        # A daemon from before an update: it heeds a signal all the same.
        if lock_is_free():
            raise
        with open(_lock(), "rb") as lock:
            os.kill(int(lock.read(32)), signal.SIGTERM)
    return _until_gone()


def _until_gone() -> bool:
    if not progress.poll(lock_is_free, STOPPING_S, 0.02):
        raise TimedOut(
            f"the daemon is still there after {STOPPING_S:g} s", "`imgq logs` may tell why"
        )
    return True


def lock_is_free() -> bool:
    """The daemon holds its lock until its children are gone and it is, too."""
    try:
        with open(_lock(), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _lock() -> str:
    return os.path.join(os.path.dirname(socket_address().removeprefix("ipc://")), "lock")
