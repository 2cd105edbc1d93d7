"""`imgq config`: the settings in force, and the file that they come from."""

from __future__ import annotations

import click

from imgq import package, wire
from imgq.client import ask
from imgq.errors import Failure
from imgq.paths import places

_MODULE = "imgqd.settings_file"


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """The settings in force, and the file that they come from."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@config.command()
def path() -> None:
    """Print where the settings file is, or would be."""
    click.echo(places().settings)


@config.command()
def show() -> None:
    """Print every setting with the value in force."""
    package.run(_MODULE, "show")


@config.command()
def init() -> None:
    """Write a settings file that says of every key what it does."""
    package.run(_MODULE, "init")


@config.command()
@click.argument("key")
def get(key: str) -> None:
    """Print the value of KEY in force."""
    package.run(_MODULE, "get", key)


@config.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("values", metavar="VALUE…", nargs=-1)
def set_(key: str, values: tuple[str, ...]) -> None:
    """Set KEY in the file, whose comments stay; a daemon that runs takes it at once.

    \b
    imgq config set rescan 600
    imgq config set exclude '*.tmp' drafts/      a list takes any number
    """
    package.run(_MODULE, "set", key, *values)
    _have_it_read()


def _have_it_read() -> None:
    """Where no daemon runs there is none to tell, and the next one reads the file."""
    try:
        ask(wire.Reload())
    except Failure as failure:
        click.echo(f"imgq: set; no daemon has taken it yet: {failure.message}", err=True)
