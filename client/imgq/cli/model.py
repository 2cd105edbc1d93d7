"""`imgq model`: the daemon's package, in a process of its own, fetches and lists models; the daemon
itself is asked which one is used."""

from __future__ import annotations

import click

from imgq import lifetime, package, render, wire
from imgq.cli.progress import status
from imgq.client import answers, ask
from imgq.errors import NoDaemon
from imgq.paths import is_far


@click.group(no_args_is_help=False)
def model() -> None:
    """The models that pictures are embedded with."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def list_(as_json: bool) -> None:
    """List the models: which weights are there, and what they are held for.

    \b
    used     it answers
    coming   it takes the place of that one when every picture has a vector of it
    kept     `imgq search --model NAME` asks it, too
    """
    package.run("imgqd.models", "list", *_held(), *(["--json"] if as_json else []))


def _held() -> list[str]:
    """What a daemon that runs tells of its models."""
    if not answers():
        return []
    told = status()
    held = {"models": render.plain(told)["models"], "change": render.plain(told)["change"]}
    return ["--held", render.json_line(held).decode()]


@model.command()
@click.argument("name")
@click.option("--keep", is_flag=True, help="And go on holding the one in use beside it.")
def use(name: str, keep: bool) -> None:
    """Embed and search with this model.

    A daemon that runs answers with the one before until every picture has a vector of the new one,
    newest first, and then with the new one at once; `imgq status` shows how far it is. The old vectors
    are dropped then, unless --keep: `imgq search --model NAME` asks either.
    """
    if not is_far() and not answers():
        if keep:
            raise NoDaemon("--keep is for a daemon to do, and none is running", "`imgq start`")
        lifetime.use_model(name)
        return
    lifetime.change_model(name, keep)
    told = status()
    for trouble in told.degraded:
        if trouble.code == "unwritten":
            click.echo(f"imgq: {trouble.message}\nhint: {trouble.remedy}", err=True)
    tell_change(told, name)


def tell_change(now: wire.Status, name: str) -> None:
    """What comes of it that this model is to be used."""
    used = now.model.name
    if now.change:
        click.echo(
            f"imgq: {used} answers until {now.change.of} pictures are embedded by {name}; "
            "`imgq status` shows how many are",
            err=True,
        )
    elif used != name:
        click.echo(
            f"imgq: {used} answers while the weights of {name} are fetched; `imgq logs` tells how far "
            "that is",
            err=True,
        )


@model.command()
@click.argument("name")
def drop(name: str) -> None:
    """Forget the vectors of a model that is kept, or coming; its weights stay."""
    ask(wire.DropModel(name=name))


@model.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a model's weights."""
    package.run("imgqd.models", "pull", name)


@model.command()
@click.argument("name")
@click.option("--weights", metavar="FILE", required=True, help="A safetensors file.")
@click.option("--architecture", metavar="NAME", help="open_clip's name of it, where NAME is not.")
def add(name: str, weights: str, architecture: str | None) -> None:
    """Add a model from a file: a preset's, or any that open_clip can build."""
    extra = ["--architecture", architecture] if architecture else []
    package.run("imgqd.models", "add", name, "--weights", weights, *extra)
