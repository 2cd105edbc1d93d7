"""`imgq stop`, `restart`, `logs`, `wait`."""

from __future__ import annotations

import os
import sys
import time
from collections import deque

import click

from imgq import lifetime, render
from imgq.client import settle
from imgq.paths import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


@click.command()
def stop() -> None:
    """End the daemon; returns when all its processes are gone."""
    if not lifetime.end():
        click.echo("imgq: no daemon was running", err=True)


@click.command()
def restart() -> None:
    """Stop the daemon and start it again."""
    lifetime.restart()


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
        file = _opened()
    except FileNotFoundError:
        click.echo("imgq: there is no log yet", err=True)
        return
    sys.stdout.buffer.writelines(map(_shown, _last(lines, file)))
    while follow:
        is_old = _is_old(file)
        sys.stdout.buffer.write(_shown(file.read()))
        sys.stdout.flush()
        if is_old:
            file.close()
            file = _opened()
        else:
            # As `tail -f`: a poll is the same on every system, and quick enough for a person.
            time.sleep(0.3)


def _opened() -> BinaryIO:
    return open(places().log, "rb")


def _last(lines: int, file: BinaryIO) -> deque[bytes]:
    """The last of the log, out of those put aside where this one has fewer."""
    last, number = deque(file, lines), 0
    while len(last) < lines:
        number += 1
        try:
            with open(f"{places().log}.{number}", "rb") as older:
                last.extendleft(reversed(deque(older, lines - len(last))))
        except FileNotFoundError:
            break
    return last


def _is_old(file: BinaryIO) -> bool:
    """Whether the log goes on in another file by now: one that is long enough is put aside."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), os.stat(places().log))
    except FileNotFoundError:
        # The other one is about to be there.
        return False


def _shown(lines: bytes) -> bytes:
    """As they are; on a terminal, without what a file's name may have brought along."""
    if not sys.stdout.isatty():
        return lines
    return render.words(lines.decode("utf-8", "surrogateescape")).encode()


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
