"""`imgq keys`: who may speak with whom over a network."""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec

import click

from imgq import keys as files
from imgq import render, wire
from imgq.client import ask
from imgq.errors import NoDaemon, UsageError
from imgq.paths import PORT, TCP, host_and_port, places, require_here


@click.group(no_args_is_help=False)
def keys() -> None:
    """Keys by which machines know each other, to ask a daemon over a network.

    \b
    where the pictures are                       where you are
    imgq config set listen tcp://0.0.0.0:7571
    imgq keys show                               imgq keys trust tcp://nas:7571 KEY
    imgq keys allow KEY                          imgq keys create
                                                 imgq --socket tcp://nas:7571 "red car"
    """


@keys.command()
def create() -> None:
    """Make this machine's own key, unless it has one; print the public half."""
    from imgq.remote import own_name

    public = files.public(files.made(files.CLIENT))
    click.echo(public)
    _say(f"where the daemon is, type: imgq keys allow {public} --name {own_name()}")


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(as_json: bool) -> None:
    """Print the public keys of this machine: its daemon's, by which clients know it, and its client's."""
    # The daemon's is made where it is asked for, by whoever of the two comes first.
    secrets = {
        "daemon": files.made(files.DAEMON) if find_spec("imgqd") else files.secret(files.DAEMON),
        "client": files.secret(files.CLIENT),
    }
    known = {of: files.public(secret) if secret else None for of, secret in secrets.items()}
    if as_json:
        sys.stdout.buffer.write(render.json_line(known))
        return
    for of, public in known.items():
        if public:
            click.echo(f"{of}\t{public}")
    if known["daemon"]:
        _note_unless_listening()
        _say(f"at another machine, type: imgq keys trust {_address()} {known['daemon']}")
        _say("with the name or address that this machine has there, where that is another")


@keys.command()
@click.argument("public", metavar="PUBLIC")
@click.option("--name", metavar="NAME", help="What to call it; the first digits if left out.")
@click.option("--full", is_flag=True, help="It may do all that you may, and not only ask.")
def allow(public: str, name: str | None, full: bool) -> None:
    """Let in the client that has this public key: to search and read, or, with --full, to do everything."""
    require_here("keys allow")
    key = files.key(public)
    right = files.FULL if full else files.READ
    files.allow(files.Allowed(public=key, right=right, name=name or f"key-{key[:8]}"))
    _note_unless_listening()
    _have_them_read()


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def list_(as_json: bool) -> None:
    """List the keys that this machine's daemon lets in, each with its right."""
    require_here("keys list")
    found = files.allowed()
    if as_json:
        sys.stdout.buffer.write(render.json_line([each.plain() for each in found]))
        return
    for each in found:
        click.echo(f"{each.right}\t{each.name}\t{each.public}")


@keys.command()
@click.argument("which", metavar="NAME|PUBLIC")
def revoke(which: str) -> None:
    """No longer let in a key; who is connected with it is cut off at once."""
    require_here("keys revoke")
    files.revoke(which)
    _have_them_read()


@keys.command()
@click.argument("address", metavar="ADDRESS")
@click.argument("public", metavar="PUBLIC")
def trust(address: str, public: str) -> None:
    """Believe the daemon at ADDRESS (tcp://HOST:PORT) if it has this public key, and no other."""
    files.trust(files.Trusted(address=files.address(address), public=files.key(public)))


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def trusted(as_json: bool) -> None:
    """List the daemons that are believed, each with its key."""
    found = files.trusted()
    if as_json:
        sys.stdout.buffer.write(render.json_line([each.plain() for each in found]))
        return
    for each in found:
        click.echo(f"{each.address}\t{each.public}")


@keys.command()
@click.argument("address", metavar="ADDRESS")
def forget(address: str) -> None:
    """No longer believe the daemon at ADDRESS."""
    files.forget(files.address(address))


def _have_them_read() -> None:
    """The daemon reads the file when somebody comes; who is there already is heard until it is told."""
    try:
        ask(wire.ReadKeys())
    except NoDaemon:
        _say("no daemon is running; the next one reads the keys")


def _address() -> str:
    """Where others may ask, by what the settings name."""
    from imgq.address import own_address

    try:
        host, port = host_and_port(_listen())
    except UsageError:
        host, port = "", PORT
    if host in ("", "0.0.0.0", "::"):
        host = own_address()
    return f"{TCP}[{host}]:{port}" if ":" in host else f"{TCP}{host}:{port}"


def _note_unless_listening() -> None:
    if not _listen():
        _say(
            "the daemon listens on no network; `imgq config set listen tcp://0.0.0.0:7571` has it listen"
        )


def _listen() -> str:
    """The setting; empty where there is none that can be read."""
    try:
        with open(places().settings, encoding="utf-8-sig") as file:
            return str(tomllib.loads(file.read()).get("listen", ""))
    except (OSError, ValueError):
        return ""


def _say(words: str) -> None:
    click.echo(f"imgq: {words}", err=True)
