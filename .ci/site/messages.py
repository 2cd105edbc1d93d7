"""What imgq says when something is wrong, read out of its source: no list to be kept beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgq import errors

_WORD = re.compile(r"[A-Za-z]{2,}")
# What an expression stands for whose value is known only when it is said.
HOLE = "…"
_FAILURES = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.Failure)
}
_KINDS = ("damaged", "unsupported", "too_large", "crashed", "timeout", "unreadable")
# By what is called: which of its words are the message and the remedy, and where they are read.
_CALLS = {
    **dict.fromkeys(_FAILURES, ("failure", 0, 1)),
    "Trouble": ("trouble", "message", "remedy"),
    "wrong": ("doctor", 1, 2),
    "note": ("note", 1, 2),
}


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """where: failure (of a command), trouble (of `imgq status`), doctor (or note, where nothing is
    wrong), or ledger (`imgq errors`), whose remedy is its kind."""

    where: str
    message: str
    remedy: str


def said(root: Path) -> list[Said]:
    """Every message that has words of its own, each once."""
    files = sorted([*root.glob("client/imgq/**/*.py"), *root.glob("daemon/imgqd/**/*.py")])
    return sorted({each for file in files for each in _of(ast.parse(file.read_text()))})


def _of(tree: ast.Module) -> Iterator[Said]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        if name == "Verdict" and [_words(each) for each in node.args[1:2]] in (["wrong"], ["note"]):
            where = "note" if _given(node, 1) == "note" else "doctor"
            message, remedy = _given(node, 2), _given(node, 3)
        elif _given(node, 0) in _KINDS:
            where, message, remedy = "ledger", _given(node, 1), _given(node, 0)
        elif name in _CALLS:
            where, *keys = _CALLS[name]
            message, remedy = (_given(node, key) for key in keys)
        else:
            continue
        if len(_WORD.findall(message)) > 1:
            yield Said(where, message, remedy)


def _given(node: ast.Call, key: int | str) -> str:
    if isinstance(key, str):
        return next((_words(each.value) for each in node.keywords if each.arg == key), "")
    return _words(node.args[key]) if key < len(node.args) else ""


def _words(node: ast.expr) -> str:
    """A text as it is written, with a hole for each part that is not."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(_words, parts))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left) + _words(right)
        case ast.Call(func=ast.Attribute(value=value, attr="removeprefix")):
            return _words(value)
        case ast.IfExp(body=body):
            return _words(body)
        case _:
            return HOLE
