"""`imgq start [DIR…]`: a daemon that answers, in the background, and the folders it watches."""

from __future__ import annotations

import os
import sys

import click

from imgq import lifetime, wire
from imgq.cli import progress
from imgq.client import ask
from imgq.errors import UsageError
from imgq.paths import absolute


@click.command()
@click.argument("folders", metavar="[DIR]…", nargs=-1)
@click.option("--model", metavar="NAME", help="The model to use; remembered.")
def start(folders: tuple[str, ...], model: str | None) -> None:
    """Start the daemon in the background and watch the folders."""
    paths = [existing(folder) for folder in folders]
    lifetime.ensure(model)
    if paths:
        ask(wire.Add(paths=tuple(paths)), lifetime.STARTING_S)
    if sys.stdout.isatty() and sys.stderr.isatty():
        progress.until_settled()


def existing(folder: str) -> bytes:
    """The absolute path of a folder that is there. Raises UsageError."""
    if not folder or not os.path.isdir(path := absolute(folder)):
        raise UsageError(f"there is no folder {folder!r}", "`imgq start ~/Pictures`")
    return path
