"""The reference, out of the source: pages that mkdocs builds with the others, and nobody keeps by hand."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "client"), str(ROOT / "daemon"), str(Path(__file__).parent)]

import click  # noqa: E402
from fields import ABOUT  # noqa: E402
from messages import HOLE, Said, said  # noqa: E402

from imgq import errors, wire  # noqa: E402
from imgq.cli import manpage, manual  # noqa: E402
from imgq.cli.commands import GROUPS, imgq  # noqa: E402
from imgq.record import Record  # noqa: E402
from imgqd import config, settings_file  # noqa: E402
from imgqd.command_line import imgqd  # noqa: E402

_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
# A path travels as bytes, and is text in JSON.
_JSON = {**_TYPES, "bytes": "text"}


def pages() -> dict[str, str]:
    """Each page by its path below docs/."""
    return {
        "reference/commands.md": "\n".join(commands()),
        "reference/settings.md": "\n".join(settings()),
        "reference/status.md": "\n".join(status()),
        "reference/exit-codes.md": "\n".join(exit_codes()),
        "reference/messages.md": "\n".join(messages()),
    }


# ── commands ────────────────────────────────────────────────────────────────────────────────────────


def commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "What each command says of itself with `--help`, and its manual page. Exit codes have"
    yield "[a page of their own](exit-codes.md).\n"
    yield from _of_imgq()
    yield from _search()
    context = click.Context(imgq, info_name="imgq")
    names = [name for group in GROUPS.values() for name in group if name != "search"]
    for name in [*names, *(each for each in imgq.list_commands(context) if each not in names)]:
        command = imgq.get_command(context, name)
        assert command is not None
        yield from _command(click.Context(command, context, info_name=name))
    yield from _imgqd()


def _of_imgq() -> Iterator[str]:
    context = click.Context(imgq, info_name="imgq")
    yield "## imgq\n"
    yield "`imgq QUERY…` is a search; these go before a command, or stand alone.\n"
    yield from _options(imgq, context)


def _search() -> Iterator[str]:
    yield "## imgq search\n"
    yield "```text\nimgq [search] QUERY… [options]\n```\n"
    yield "The word `search` is needed where the query is a command's name.\n"
    for group, options in manual.GROUPS.items():
        yield f"**{group.capitalize()}**\n"
        yield from _table(
            ("option", ""),
            ((_code(manual.synopsis(name)), words) for name, words in options.items()),
        )


def _command(context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield from _described(context)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            inner = context.command.get_command(context, name)
            assert inner is not None
            below = click.Context(inner, context, info_name=name)
            yield f"### {below.command_path}\n"
            yield from _described(below)


def _described(context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    for paragraph in (command.help or "").strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        # click's mark for lines that stay as they are.
        kept = lines[:1] == ["\b"]
        yield "\n".join(["```text", *lines[1:], "```"] if kept else lines) + "\n"
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    # What nobody is told a word of, one process gives another.
    options = [each for each in options if each.help or not each.hidden]
    records = [manpage._told(each).get_help_record(context) for each in options]
    yield from _table(("option", ""), ((_code(each[0]), each[1]) for each in records if each))


def _imgqd() -> Iterator[str]:
    context = click.Context(imgqd, info_name="imgqd")
    yield "## imgqd\n"
    yield from _described(context)


# ── settings ────────────────────────────────────────────────────────────────────────────────────────


def settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "A TOML file, whose path `imgq config path` prints; `imgq config init` writes one that says all"
    yield "of this. A key that is not there has its default, an unknown one is an error.\n"
    rows = (
        (_code(name), _code(_toml(name)), _takes(name), config.bounds(name).about)
        for name in config.NAMES
    )
    yield from _table(("key", "default", "takes", ""), rows)


def _toml(name: str) -> str:
    return settings_file._line(name, getattr(config.DEFAULTS, name)).split(" = ", 1)[1].strip()


def _takes(name: str) -> str:
    bounds, default = config.bounds(name), getattr(config.DEFAULTS, name)
    if bounds.choices:
        return ", ".join(map(_code, bounds.choices))
    if isinstance(default, tuple):
        return "a list of texts"
    words = config.KINDS[type(default)]
    return words if bounds.least is None else f"{words}, {bounds.least} to {bounds.most:,}"


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────


def status() -> Iterator[str]:
    yield "# Fields of status\n"
    yield "What `imgq status --json` prints, one object. What is not known is `null`.\n"
    rows = ((_code(path), kind, ABOUT.get(path, "")) for path, kind in fields(wire.Status))
    yield from _table(("field", "type", ""), rows)


def fields(cls: type[Record], above: str = "") -> Iterator[tuple[str, str]]:
    """The path of each field of a record, those of its records among them, with its type in words."""
    module = vars(sys.modules[cls.__module__])
    for name, written in _annotations(cls).items():
        word = re.sub(r"^tuple\[(.+), \.\.\.\]$", r"\1", written)
        is_list, is_maybe = word != written, word.endswith(" | None")
        word = word.removesuffix(" | None")
        inner = module.get(word)
        path = f"{above}{name}{'[]' * is_list}"
        if isinstance(inner, type) and issubclass(inner, Record):
            yield path, "objects" if is_list else "object" + ", or null" * is_maybe
            yield from fields(inner, f"{path}.")
        else:
            yield path, _JSON[word] + (", or null" if is_maybe else "")


def _annotations(cls: type[Any]) -> dict[str, str]:
    of_all = [vars(each).get("__annotations__", {}) for each in reversed(cls.__mro__)]
    return {name: kind for each in of_all for name, kind in each.items() if "ClassVar" not in kind}


# ── exit codes and messages ─────────────────────────────────────────────────────────────────────────


def exit_codes() -> Iterator[str]:
    yield "# Exit codes\n"
    signals = {"130": "Ended by Ctrl-C.", "141": "Nobody read on, as with `| head`."}
    rows = ((_code(code), words) for code, words in {**manpage._EXIT_CODES, **signals}.items())
    yield from _table(("code", ""), rows)
    yield "Listings exit with 0 when they are empty. Each failure has its place in a tree, which decides:\n"
    assert errors.__doc__ is not None
    tree = errors.__doc__.split("\n\n")[1]
    yield f"```text\n{tree}\n```\n"


def messages() -> Iterator[str]:
    yield "# Messages\n"
    yield "All that imgq says when something is wrong, out of its source; `…` stands for what differs."
    yield "What is asked most often is in the [FAQ](../faq.md).\n"
    found = said(ROOT)
    for title, where in (
        ("On the command line", ("failure",)),
        ("In `imgq status`, as trouble", ("trouble",)),
        ("By `imgq doctor`", ("doctor", "note")),
    ):
        yield f"## {title}\n"
        yield from _told([each for each in found if each.where in where])
    yield "## In `imgq errors`, of a file\n"
    ledger = ((_text(each.message), each.remedy) for each in found if each.where == "ledger")
    yield from _table(("reason", "kind"), ledger)


def _told(found: list[Said]) -> Iterator[str]:
    alone = [each for each in found if each.remedy in ("", HOLE)]
    remedies = ((_text(each.message), _text(each.remedy)) for each in found if each not in alone)
    yield from _table(("it says", "what to do"), remedies)
    if alone:
        yield "These say all there is to say:\n"
        yield "\n".join(f"- {_text(each.message)}" for each in alone) + "\n"


# ── Markdown ────────────────────────────────────────────────────────────────────────────────────────


def _table(head: tuple[str, ...], rows: Any) -> Iterator[str]:
    listed = [tuple(each.replace("|", r"\|").replace("\n", " ") for each in row) for row in rows]
    if listed:
        lines = [head, ("---",) * len(head), *listed]
        yield "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _text(words: str) -> str:
    """Words in which nothing but code is marked up."""
    parts = re.split(r"(`[^`]+`)", words)
    plain = [re.sub(r"([\\*_<>\[\]#])", r"\\\1", part) for part in parts[::2]]
    return "".join(plain[n // 2] if n % 2 == 0 else parts[n] for n in range(len(parts)))


# ── mkdocs ──────────────────────────────────────────────────────────────────────────────────────────


def on_files(files: Any, config: Any) -> Any:
    """mkdocs calls it when it has listed the pages that lie in docs/."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
