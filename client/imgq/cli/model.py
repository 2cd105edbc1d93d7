"""`imgq model list`, `use`, `pull`, `add`: the daemon's package does the work, in a process of its own."""

from __future__ import annotations

import click

from imgq import lifetime, package
from imgq.client import answers


@click.group(no_args_is_help=False)
def model() -> None:
    """The models that pictures are embedded with."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def list_(as_json: bool) -> None:
    """List the models, and which weights are there."""
    package.run("imgqd.models", "list", *(["--json"] if as_json else []))


@model.command()
@click.argument("name")
def use(name: str) -> None:
    """Embed with this model from now on."""
    if answers() and lifetime.running_model() != name:
        lifetime.restart(name)
    else:
        lifetime.use_model(name)


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
