"""What a shell may complete a line with: click's own scripts and protocol, and a search's words besides.

Folders and cameras that are known are asked of the daemon, which is not waited for; without one, there are
none.
"""

from __future__ import annotations

import os

from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from imgq import wire
from imgq.cli import manual
from imgq.cli.commands import imgq
from imgq.cli.main import COMMANDS
from imgq.cli.options import FILTERS, SHORT, TAKES
from imgq.client import ask
from imgq.errors import Failure, UsageError
from imgq.query import PATH_STARTS

VARIABLE = "_IMGQ_COMPLETE"
SHELLS = ("bash", "fish", "zsh")
# Somebody waits for each letter.
_PATIENCE_S = 0.3
# Commands whose words are watched folders, and those whose words are any.
_OF_ROOTS = ("remove", "check")
_OF_PATHS = {"add": "dir", "start": "dir", "info": "file", "reindex": "file"}
_NAMED = {"--camera": "camera", "--lens": "lens"}


def script(shell: str) -> str:
    """What the shell reads once to complete imgq from then on. Raises UsageError."""
    if shell not in SHELLS:
        raise UsageError(
            f"there is no completion for {shell!r}", f"it is one of {', '.join(SHELLS)}"
        )
    # click's script for fish takes a comma in a folder's name for the end of it.
    return _Completer(shell).base.source().replace('split ","', 'split -m 1 ","') + "\n"


def answer(instruction: str) -> str:
    """What the script asks: `bash_complete`, and the line in the environment."""
    shell, _, order = instruction.partition("_")
    if shell not in SHELLS or order not in ("complete", "source"):
        raise UsageError(
            f"{VARIABLE} is {instruction!r}", "`imgq --completion bash` prints a script"
        )
    return script(shell) if order == "source" else _Completer(shell).base.complete()


class _Completer:
    """click's completion for a shell, with the words that are ours."""

    def __init__(self, shell: str) -> None:
        found = get_completion_class(shell)
        assert found
        self.base: ShellComplete = found(imgq, {}, "imgq", VARIABLE)
        self._of_click = self.base.get_completions
        self.base.get_completions = self._completions  # type: ignore[method-assign]
        # click's script for bash has `read` take backslashes away, once.
        self._quoted = _twice_escaped if shell == "bash" else str

    def _completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        command = args[0] if args else ""
        if command in COMMANDS:
            return self._after(command, args, incomplete)
        items = [] if args else self._of_click(args, incomplete)
        words = args[1:] if command == "search" else args
        return [*items, *self._searching(words, incomplete)]

    def _after(self, command: str, args: list[str], incomplete: str) -> list[CompletionItem]:
        if command in _OF_ROOTS and not incomplete.startswith("-"):
            return self._folders(incomplete)
        if command in _OF_PATHS and not incomplete.startswith("-"):
            return [CompletionItem(incomplete, type=_OF_PATHS[command])]
        items = self._of_click(args, incomplete)
        return [*items, *self._narrowing(args, incomplete)] if command == "follow" else items

    def _narrowing(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What narrows a search, and is hidden in the command's own help."""
        if not incomplete.startswith("-") and (not args or args[-1] not in FILTERS):
            return []
        items = self._searching(args, incomplete)
        hidden = FILTERS - {"--in"}
        return [item for item in items if not incomplete.startswith("-") or item.value in hidden]

    def _searching(self, words: list[str], incomplete: str) -> list[CompletionItem]:
        option = SHORT.get(words[-1], words[-1]) if words else ""
        if option in _NAMED:
            return self._names(_NAMED[option], incomplete)
        if takes := TAKES.get(option):
            return self._values(takes, incomplete)
        if incomplete.startswith(PATH_STARTS):
            return [CompletionItem(incomplete, type="file")]
        groups = manual.GROUPS.values() if incomplete.startswith("-") else ()
        return [
            CompletionItem(name, help=text)
            for group in groups
            for name, text in group.items()
            if name.startswith(incomplete)
        ]

    def _values(self, takes: str, incomplete: str) -> list[CompletionItem]:
        if takes == "DIR":
            return self._folders(incomplete)
        return [CompletionItem(incomplete, type="file")] if takes == "FILE" else []

    def _names(self, of: str, incomplete: str) -> list[CompletionItem]:
        fitting = [name for name in _names(of) if name.lower().startswith(incomplete.lower())]
        return [CompletionItem(self._quoted(name)) for name in fitting if name.isprintable()]

    def _folders(self, incomplete: str) -> list[CompletionItem]:
        """Those that are watched, and any other; bash forgets what comes before the latter, and from the
        others it would be there twice."""
        begun = os.path.expanduser(incomplete)
        known = [os.fsdecode(path) for path in _roots()]
        if self.base.name != "bash":
            known = [path for path in known if os.path.dirname(path) != os.path.dirname(begun)]
        # The protocol is lines of text.
        fitting = [path for path in known if path.startswith(begun) and path.isprintable()]
        return [
            CompletionItem(incomplete, type="dir"),
            *(CompletionItem(self._quoted(path)) for path in fitting),
        ]


def _twice_escaped(path: str) -> str:
    return "".join(c if c.isalnum() or c in "/._-" else rf"\\{c}" for c in path)


def _roots() -> list[bytes]:
    try:
        reply = ask(wire.AskRoots(), _PATIENCE_S)
    except (Failure, OSError):
        return []
    assert isinstance(reply, wire.Roots)
    return [root.path for root in reply.roots]


def _names(of: str) -> tuple[str, ...]:
    try:
        reply = ask(wire.AskNames(of=of), _PATIENCE_S)
    except (Failure, OSError):
        return ()
    assert isinstance(reply, wire.Names)
    return reply.names
