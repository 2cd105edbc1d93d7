"""`imgq start [DIR…]`: a daemon that answers, in the background, and the folders it watches."""

from __future__ import annotations

import os
import shlex
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
    paths = [existing(folder, "start") for folder in folders]
    lifetime.ensure(model)
    if paths:
        ask(wire.Add(paths=tuple(paths)), lifetime.STARTING_S)
    if sys.stdout.isatty() and sys.stderr.isatty():
        progress.until_settled()


def existing(folder: str, command: str) -> bytes:
    """The absolute path of a folder that is there. Raises UsageError, which has the command for the folder
    of what is a file."""
    path = absolute(folder) if folder else b""
    if os.path.isdir(path):
        return path
    if os.path.isfile(path):
        around = shlex.quote(os.fsdecode(os.path.dirname(path)))
        raise UsageError(f"{folder!r} is a file, and no folder", f"`imgq {command} {around}`")
    raise UsageError(f"there is no folder {folder!r}", f"`imgq {command} ~/Pictures`")
