"""The prompt of `imgq shell`: Python's readline, its history in a private file, and completion."""

from __future__ import annotations

import os
import readline
from contextlib import suppress
from glob import escape, iglob

from imgq.cli.options import SHORT, TAKES
from imgq.cli.shell_lines import ORDERS
from imgq.paths import places
from imgq.query import PATH_STARTS

PROMPT = "imgq> "
_KEPT = 2000
_MOST = 500


class Prompt:
    """Asks for lines; what was typed is there the next time."""

    def __init__(self) -> None:
        self._path = os.path.join(places().logs, "history")
        readline.set_auto_history(False)
        readline.set_history_length(_KEPT)
        readline.set_completer(_Completer())
        readline.set_completer_delims(" \t\n")
        bound = "bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete"
        readline.parse_and_bind(bound)
        with suppress(OSError):
            readline.read_history_file(self._path)

    def line(self) -> str:
        """Raises EOFError at the end, and KeyboardInterrupt."""
        line = input(PROMPT)
        if line.strip() and line != self._last():
            readline.add_history(line)
            self._keep()
        return line

    def _last(self) -> str | None:
        return readline.get_history_item(readline.get_current_history_length())

    def _keep(self) -> None:
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            readline.write_history_file(self._path)
            os.chmod(self._path, 0o600)


class _Completer:
    """As readline calls it: once for each state, until there is no more."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        if state == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()].split()
            self._found = completed(text, before)
        return self._found[state] if state < len(self._found) else None


def completed(text: str, before: list[str]) -> list[str]:
    """What the word may become, by the words before it."""
    option = SHORT.get(before[-1], before[-1]) if before else ""
    if option in ("--like", "--in") or text.startswith((*PATH_STARTS, "image:")):
        image = "image:" * text.startswith("image:")
        return [image + path for path in _paths(text.removeprefix("image:"), option == "--in")]
    if text.startswith("-"):
        return sorted(f"{each} " for each in TAKES if each.startswith(text))
    return [f"{each} " for each in ORDERS if not before and each.startswith(text)]


def _paths(begun: str, folders: bool) -> list[str]:
    found = []
    for path in iglob(f"{escape(os.path.expanduser(begun))}*"):
        is_folder = os.path.isdir(path)
        if is_folder or not folders:
            found.append(_as_begun(path, begun) + ("/" if is_folder else " "))
        if len(found) == _MOST:
            break
    return sorted(found)


def _as_begun(path: str, begun: str) -> str:
    if not begun.startswith("~/"):
        return path
    return "~/" + os.path.relpath(path, os.path.expanduser("~"))
