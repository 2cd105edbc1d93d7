"""`imgq add`, `remove`, `roots`: the watched folders."""

from __future__ import annotations

import sys

import click

from imgq import render, wire
from imgq.cli.start import existing
from imgq.client import ask, settle
from imgq.paths import absolute, is_far


@click.command()
@click.argument("folders", metavar="DIR…", nargs=-1, required=True)
@click.option("--wait", "waits", is_flag=True, help="Return when all in them is in the index.")
def add(folders: tuple[str, ...], waits: bool) -> None:
    """Watch more folders."""
    # Whether folders of another machine are there, its daemon knows.
    paths = [absolute(each) if is_far() else existing(each, "add") for each in folders]
    ask(wire.Add(paths=tuple(paths)))
    if waits:
        settle(86400.0)


@click.command()
@click.argument("folders", metavar="DIR…", nargs=-1, required=True)
def remove(folders: tuple[str, ...]) -> None:
    """No longer watch folders; the pictures in them stay where they are."""
    ask(wire.Remove(paths=tuple(map(absolute, folders))))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def roots(as_json: bool) -> None:
    """List the watched folders."""
    reply = ask(wire.AskRoots())
    assert isinstance(reply, wire.Roots)
    if as_json:
        sys.stdout.buffer.write(render.json_line([render.plain(root) for root in reply.roots]))
        return
    for root in reply.roots:
        path = render.path(root.path, sys.stdout.isatty())
        sys.stdout.buffer.write(f"{root.state}\t{root.files}\t".encode() + path + b"\n")
