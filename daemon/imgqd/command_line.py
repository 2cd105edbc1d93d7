"""The words that `imgqd` takes."""

from __future__ import annotations

import click

from imgq.errors import CannotStart


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", metavar="NAME", help="The model to embed with; remembered.")
@click.option("--ready", type=int, metavar="FD", hidden=True)
@click.option("--lock", type=int, metavar="FD", hidden=True)
@click.option("--kept", type=int, metavar="FD", hidden=True)
def imgqd(model: str | None, ready: int | None, lock: int | None, kept: int | None) -> int:
    """Run imgq's daemon in the foreground."""
    try:
        from imgqd import app
    except ModuleNotFoundError as error:
        click.echo(f"imgqd: {error.name} is not here: this is the client alone", err=True)
        click.echo("hint: the daemon comes with: pip install 'imgq[daemon]'", err=True)
        return CannotStart.exit_code

    return app.run(app.CommandLine(model, ready, lock, kept))
