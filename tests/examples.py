"""The examples of the documentation: blocks of commands, and what is to be done with them.

A `console` block runs as it stands, a command a line or, where lines have prompts, behind each `$ `; behind
a prompt with a name, as `nas$ `, it is another machine's, and is only read. So is an `sh` block: what it
needs (a network, a GPU, a login, a person) a test has not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from imgq.cli.commands import imgq
from imgq.cli.options import OPTIONAL, SHORT, TAKES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^(?P<host>[a-z]*)\$ (?P<command>.*)$")
# What parts the commands of a line.
_MARKS = "|&;(<>)\n"
_PARTS = ("if", "then", "while", "do", "{", "!", "$")


@dataclass(frozen=True, slots=True)
class Example:
    """output: what the page shows below it; runs: whether it can here."""

    page: str
    command: str
    output: str
    runs: bool


def examples(page: Path) -> Iterator[Example]:
    name = str(page.relative_to(ROOT))
    for kind, block in _BLOCK.findall(page.read_text()):
        block = block.replace("\\\n", "")
        if kind == "sh":
            lines = (_PROMPT.sub(r"\g<command>", line) for line in block.splitlines())
            yield Example(name, "\n".join(lines), "", False)
        elif any(map(_PROMPT.match, block.splitlines())):
            yield from _prompted(name, block)
        else:
            yield from (Example(name, line, "", True) for line in block.splitlines() if line)


def _prompted(name: str, block: str) -> Iterator[Example]:
    parts = re.split(r"^(?=[a-z]*\$ )", block, flags=re.MULTILINE)
    for part in filter(None, parts):
        first, _, output = part.partition("\n")
        if found := _PROMPT.match(first):
            yield Example(name, found["command"], output, not found["host"])


def unknown_options(command: str) -> list[str]:
    """The options in a line's calls of imgq that imgq does not know."""
    return [
        option for call in _calls(command) for option in _options(call) if not _knows(call, option)
    ]


def _calls(command: str) -> Iterator[list[str]]:
    """What stands behind each `imgq`, in words."""
    bare = re.sub(r"(^|\s)#.*$", "", command, flags=re.MULTILINE)
    lexer = shlex.shlex(bare, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words = list(lexer)
    for place, word in enumerate(words):
        before = words[place - 1] if place else ";"
        if word == "imgq" and (before in _PARTS or before[0] in _MARKS):
            rest = words[place + 1 :]
            end = next((n for n, each in enumerate(rest) if each[:1] in {*_MARKS}), len(rest))
            yield rest[:end]


def _options(call: list[str]) -> list[str]:
    known = call[: call.index("--")] if "--" in call else call
    found = (re.match(r"^(--[a-z][a-z-]*|-[a-zA-Z0](?=\d*$))", word) for word in known)
    return [each[1] for each in found if each]


def _knows(call: list[str], option: str) -> bool:
    own = {name for each in imgq.params for name in each.opts}
    return option in own | _of_command(call)


def _of_command(call: list[str]) -> set[str]:
    words = [word for word in call if not word.startswith("-")]
    command = imgq.get_command(click.Context(imgq), words[0]) if words else None
    if command is None:
        return {*TAKES, *SHORT, *OPTIONAL}
    inner = (
        command.get_command(click.Context(command), words[1])
        if (isinstance(command, click.Group) and len(words) > 1)
        else None
    )
    params = [*command.params, *(inner.params if inner else ())]
    return {name for each in params for name in each.opts} | {"--help", "-h"}
