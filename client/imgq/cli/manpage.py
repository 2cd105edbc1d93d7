"""Manual pages out of what the commands themselves say: `python -m imgq.cli.manpage FOLDER` writes them."""

from __future__ import annotations

import sys
from copy import copy
from pathlib import Path

import click

from imgq import __version__
from imgq.cli import manual
from imgq.cli.commands import GROUPS, imgq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LANGUAGE = {
    "horse + stripes - people": "Words up to an operator are one term; + and - are words of their own.",
    "2:golden retriever": "A term's weight, above 0 and up to 1000; 1 unless said.",
    "0.5:./pool.jpg, image:pool.jpg": "A picture: a term that begins with ./, ../, /, ~/ or image:.",
    r"\16:9, \+": "A backslash takes the meaning of what follows away.",
}
_EXIT_CODES = {
    "0": "There are hits, or it is done.",
    "1": "No hits; not settled in time; check or doctor found something.",
    "2": "Usage, settings.",
    "3": "No daemon, or none within the timeout.",
    "4": "The daemon refused, or refuses to start.",
    "5": "Client and daemon speak different protocols.",
    "70": "A bug.",
}


def pages() -> dict[str, str]:
    """Every page, by its file's name."""
    context = click.Context(imgq, info_name="imgq")
    made = {"imgq.1": _overview(context), "imgq-search.1": _search()}
    for name in imgq.list_commands(context):
        command = imgq.get_command(context, name)
        assert command
        made[f"imgq-{name}.1"] = _command(click.Context(command, context, info_name=name))
    return made


def _overview(context: click.Context) -> str:
    parts = [_head("imgq", "find pictures by what is in them")]
    parts.append(
        _section(
            "SYNOPSIS", "\\fBimgq\\fR \\fIQUERY\\fR… [options]\n.br\n\\fBimgq\\fR \\fICOMMAND\\fR …"
        )
    )
    parts.append(_section("DESCRIPTION", _text(imgq.help or "")))
    for group, names in GROUPS.items():
        found = {name: imgq.get_command(context, name) for name in names}
        listed = {
            f"imgq-{name}(1)": each.get_short_help_str(200) for name, each in found.items() if each
        }
        parts.append(_section(group.upper(), _list(listed)))
    return "".join([*parts, _section("EXIT STATUS", _list(_EXIT_CODES))])


def _search() -> str:
    parts = [_head("imgq-search", "ask for pictures by words and by pictures")]
    parts.append(_section("SYNOPSIS", "\\fBimgq\\fR [\\fBsearch\\fR] \\fIQUERY\\fR… [options]"))
    parts.append(_section("QUERY", _list(_LANGUAGE)))
    for group, options in manual.GROUPS.items():
        listed = {manual.synopsis(name): words for name, words in options.items()}
        parts.append(_section(f"OPTIONS: {group}", _list(listed)))
    parts.append(_section("EXAMPLES", _list(manual.EXAMPLES)))
    return "".join([*parts, _section("EXIT STATUS", _list(_EXIT_CODES))])


def _command(context: click.Context) -> str:
    command = context.command
    parts = [_head(context.command_path.replace(" ", "-"), command.get_short_help_str(200))]
    parts += _described(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner
            parts += _described(click.Context(inner, context, info_name=name), name.upper())
    return "".join(parts)


def _described(context: click.Context, title: str = "") -> Iterator[str]:
    usage = " ".join(context.command.collect_usage_pieces(context))
    synopsis = f"\\fB{_escaped(context.command_path)}\\fR {_escaped(usage)}\n.PP\n"
    yield _section(title or "SYNOPSIS", synopsis + _text(context.command.help or ""))
    options = [each for each in context.command.params if isinstance(each, click.Option)]
    records = [_told(each).get_help_record(context) for each in options]
    if listed := dict(each for each in records if each):
        yield _section("OPTIONS", _list(listed)) if not title else _list(listed)


def _told(option: click.Option) -> click.Option:
    """A page has room for those that a help has not."""
    told = copy(option)
    told.hidden = False
    return told


def _head(name: str, does: str) -> str:
    does = does[:1].lower() + does[1:].rstrip(".")
    return f'.TH "{name.upper()}" 1 "" "imgq {__version__}" "imgq"\n' + _section(
        "NAME", f"{_escaped(name)} \\- {_escaped(does)}"
    )


def _section(title: str, body: str) -> str:
    return f'.SH "{title}"\n{body.rstrip()}\n'


def _list(entries: dict[str, str]) -> str:
    return "".join(
        f".TP\n\\fB{_escaped(term)}\\fR\n{_escaped(words)}\n" for term, words in entries.items()
    )


def _text(help: str) -> str:
    """Paragraphs as click takes them: after its mark for it, lines stay as they are."""
    parts = []
    for paragraph in help.strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0] == "\b":
            parts.append(".nf\n" + "\n".join(map(_escaped, lines[1:])) + "\n.fi")
        else:
            parts.append("\n".join(map(_escaped, lines)))
    return "\n.PP\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text of which no line or character is an order to roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n")
    )


def main(folder: str) -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.1"):
        old.unlink()
    for name, page in pages().items():
        (target / name).write_text(page, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
