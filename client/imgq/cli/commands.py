"""The commands' table; each one's module is loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from imgq import __version__
from imgq.errors import UsageError
from imgq.paths import require_here

_MODULES = {
    "start": "start",
    "stop": "lifecycle",
    "restart": "lifecycle",
    "logs": "lifecycle",
    "wait": "lifecycle",
    "pause": "pause",
    "resume": "pause",
    "check": "check",
    "status": "status",
    "stats": "stats",
    "add": "roots",
    "remove": "roots",
    "roots": "roots",
    "errors": "files",
    "dupes": "dupes",
    "follow": "follow",
    "info": "files",
    "files": "files",
    "reindex": "files",
    "export": "export",
    "model": "model",
    "service": "service",
    "config": "config",
    "keys": "keys",
    "doctor": "doctor",
    "demo": "demo",
    "shell": "shell",
}

# Every command, and `search`, by what it is for, as the help has them.
GROUPS = {
    "daemon": ("start", "stop", "restart", "status", "wait", "pause", "resume", "logs", "service"),
    "folders": ("add", "remove", "roots"),
    "answers": ("search", "shell", "follow", "dupes"),
    "index": ("files", "info", "errors", "reindex", "check", "export", "stats"),
    "set up": ("model", "config", "keys", "doctor", "demo"),
}

# What they do is done to this machine's own daemon, its files and its service.
_HERE = frozenset(
    ("start", "restart", "logs", "service", "config", "model list", "model pull", "model add")
)


class Commands(click.Group):
    """Loads what is called, and nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"imgq.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("Usage: imgq QUERY… [options]\n       imgq COMMAND …\n")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By what they are for: a line for each would be longer than a screen."""
        with formatter.section("Commands, each with --help"):
            formatter.write_dl([(group, "  ".join(names)) for group, names in GROUPS.items()])


def _print_completion(ctx: click.Context, param: click.Parameter, shell: str | None) -> None:
    if shell:
        from imgq.cli.completion import script

        click.echo(script(shell), nl=False)
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--completion",
    metavar="SHELL",
    is_eager=True,
    expose_value=False,
    callback=_print_completion,
    help="Print the script by which bash, zsh or fish completes imgq.",
)
@click.option(
    "--socket", metavar="ADDRESS", expose_value=False, help="Ask the daemon at this address."
)
@click.version_option(__version__, prog_name="imgq", help="Print the version.")
def imgq() -> None:
    """Finds your pictures by what is in them.

    \b
    imgq start ~/Pictures      once: start the daemon, watch this folder
    imgq "red car"             from then on, from any shell
    imgq --like photo.jpg      pictures like this one
    imgq search --help         all that a search takes
    """


def run_command(words: list[str]) -> int:
    """The exit code of a command; what click finds wrong is a UsageError."""
    for command in (words[:1], words[:2]):
        if " ".join(command) in _HERE and not {"-h", "--help"} & {*words}:
            require_here(" ".join(command))
    try:
        # Not `imgq.main`, which has an exit code of its own for a closed pipe.
        with imgq.make_context("imgq", words or ["--help"]) as context:
            result = imgq.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise UsageError(_first_lower(error.format_message()), _hint(error, words)) from None
    return result if isinstance(result, int) else 0


def _hint(error: click.ClickException, words: list[str]) -> str:
    """Words that a command does not take may have been meant as a query."""
    if not str(error).startswith(("Got unexpected extra argument", "No such command")):
        return f"`imgq {words[0]} --help` tells what it takes"
    from shlex import join

    return f"to search for these words: imgq search {join(words)}"


def _first_lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
