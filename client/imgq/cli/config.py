"""`imgq config`: the settings in force, and the file that they come from."""

from __future__ import annotations

import click

from imgq import package, wire
from imgq.cli.model import tell_change
from imgq.cli.progress import status
from imgq.client import ask
from imgq.errors import Failure, Refused
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
    now = _have_it_read()
    if key == "model":
        _tell_model(now, *values)


def _tell_model(now: wire.Status | None, name: str) -> None:
    """What comes of it, unless it was set to another since."""
    if now is None:
        _say(f"hint: `imgq model pull {name}` makes sure of its weights before that")
    elif (
        now.change or now.model.name == name or package.read(_MODULE, "get", "model") == f"{name}\n"
    ):
        tell_change(now, name)
    else:
        _say(f"imgq: another model than {name} was set meanwhile")


def _have_it_read() -> wire.Status | None:
    """What the daemon does by then; where none runs there is none to tell, and the next one reads the file.
    Raises Refused where they are not in force."""
    try:
        ask(wire.Reload())
        now = status()
    except Failure as failure:
        _say(f"imgq: set; no daemon has taken it yet: {failure.message}")
        return None
    for trouble in now.degraded:
        if trouble.code == "settings":
            raise Refused(f"set, but {trouble.message}", trouble.remedy)
    return now


def _say(words: str) -> None:
    click.echo(words, err=True)
