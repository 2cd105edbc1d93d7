"""`imgq model list`, `use`, `pull`, `add`: the daemon's package does the work, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import click

from imgq.cli.start import SystemExitWith, restart, running_model, use_model
from imgq.client import answers


@click.group(no_args_is_help=False)
def model() -> None:
    """The models that pictures are embedded with."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def list_(as_json: bool) -> None:
    """List the models, and which weights are there."""
    _run("list", *(["--json"] if as_json else []))


@model.command()
@click.argument("name")
def use(name: str) -> None:
    """Embed with this model from now on."""
    use_model(name)
    if answers() and running_model() != name:
        restart()


@model.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a model's weights."""
    _run("pull", name)


@model.command()
@click.argument("name")
@click.option("--weights", metavar="FILE", required=True, help="A safetensors file.")
@click.option("--architecture", metavar="NAME", help="open_clip's name of it, where NAME is not.")
def add(name: str, weights: str, architecture: str | None) -> None:
    """Add a model from a file: a preset's, or any that open_clip can build."""
    extra = ["--architecture", architecture] if architecture else []
    _run("add", name, "--weights", weights, *extra)


def _run(*words: str) -> None:
    sys.stdout.flush()
    child = subprocess.run([sys.executable, "-P", "-m", "imgqd.models", *words], check=False)
    if child.returncode:
        raise SystemExitWith(child.returncode)
