"""`imgq config path` and `show`: the settings in force."""

from __future__ import annotations

import click

from imgq import package
from imgq.paths import places


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """The settings in force."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@config.command()
def path() -> None:
    """Print where the settings file is, or would be."""
    click.echo(places().settings)


@config.command()
def show() -> None:
    """Print every setting with the value in force."""
    package.run("imgqd.config")
