"""`imgq service install`, `uninstall`, `status`."""

from __future__ import annotations

import os
import sys

import click

from imgq import lifetime
from imgq import service as services


@click.group(no_args_is_help=False)
def service() -> None:
    """imgqd as a systemd user service, or as a launchd agent on macOS."""


@service.command()
def install() -> None:
    """Start imgqd now, and whenever you log in."""
    # Before anything ends: here we can say what is missing and show it being fetched; a service could only
    # write it to a journal.
    lifetime.use_model(None)
    if not (services.in_charge() and services.status().running):
        # A daemon started by hand would hold the lock that the service needs.
        lifetime.end()
    # The program beside this interpreter: a service manager knows no environment.
    click.echo(services.install(os.path.join(os.path.dirname(sys.executable), "imgqd")))


@service.command()
def uninstall() -> None:
    """Stop the service and remove its unit files."""
    click.echo(services.uninstall())


@service.command()
def status() -> int:
    """Tell whether the service is installed, enabled and running."""
    now = services.status()
    click.echo(f"{now.words}\n{now.unit}")
    return 0 if now.running else 1
