"""`python -m imgqd.models`: what client and daemon have done in a process of its own.

On failure the reason goes to stderr, as `imgq` says it, and the exit code is the failure's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from imgq.errors import Failure
from imgq.paths import places
from imgqd.models import listing, pull

MODELS = click.option(
    "--models",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=lambda: Path(places().models),
    help="The models folder.",
)
HUB_TIMEOUT = click.option(
    "--hub-timeout", metavar="S", type=float, default=pull.HUB_TIMEOUT_S, help="For the hub."
)
OFFLINE = click.option("--offline", is_flag=True, help="Ask no hub.")


@click.group()
def commands() -> None:
    """The models of imgq."""


@commands.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.option("--held", metavar="JSON", help="What a daemon tells of the models it holds.")
@MODELS
def list_(as_json: bool, held: str | None, models: Path) -> None:
    """List the models, and which weights are there."""
    told = listing.Held.told(held) if held else listing.Held.settings(_settings_model())
    rows = listing.rows(models, told)
    if as_json:
        sys.stdout.write(json.dumps(listing.as_maps(rows), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(listing.as_text(rows))


@commands.command("pull")
@click.argument("name")
@HUB_TIMEOUT
@OFFLINE
@MODELS
def pull_(name: str, hub_timeout: float, offline: bool, models: Path) -> None:
    """Fetch what a model needs and is not on disk."""
    from imgqd.models.weights import require_own

    ready = pull.ensure(models, name, hub_timeout, offline or _settings_offline())
    require_own(ready)
    sys.stderr.write(f"{name} is ready: {ready.weights}\n")


@commands.command()
@click.argument("name")
@HUB_TIMEOUT
@OFFLINE
@MODELS
def fetch(name: str, hub_timeout: float, offline: bool, models: Path) -> None:
    """Fetch what a model needs and is not on disk, without a word."""
    pull.ensure(models, name, hub_timeout, offline or _settings_offline())


@commands.command()
@click.argument("name", required=False)
@HUB_TIMEOUT
@OFFLINE
@MODELS
def use(name: str | None, hub_timeout: float, offline: bool, models: Path) -> None:
    """Fetch what a model needs and remember it; without a name, what the one in use needs."""
    pull.ensure(
        models,
        _settings_model() if name is None else name,
        hub_timeout,
        offline or _settings_offline(),
    )
    if name is not None:
        from imgqd.settings_file import remember

        remember(places().settings, "model", name)


@commands.command("add")
@click.argument("name")
@click.option(
    "--weights", metavar="FILE", type=click.Path(path_type=Path), required=True, help="Safetensors."
)
@click.option("--architecture", metavar="NAME", help="open_clip's name of it, where NAME is not.")
@MODELS
def add_(name: str, weights: Path, architecture: str | None, models: Path) -> None:
    """Take a file of weights into the models folder."""
    from imgqd.models.add import add

    ready = add(models, name, weights, architecture)
    sys.stderr.write(f"{name} is ready ({ready.architecture}): `imgq model use {name}`\n")


def _settings_model() -> str:
    from imgqd.config import load

    return load(places().settings).model


def _settings_offline() -> bool:
    from imgqd.config import load

    return load(places().settings).offline


def main() -> int:
    os.umask(0o077)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        commands.main(standalone_mode=False, prog_name="imgq model")
        sys.stdout.flush()
    except Failure as failure:
        sys.stderr.write(f"imgq: {failure}\n")
        return failure.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        sys.stderr.write(f"imgq: cannot use {error.filename}: {error.strerror}\n")
        return 4
    finally:
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    code = main()
    # A name server that never answers holds a thread; nothing waits for it here.
    os._exit(code)
