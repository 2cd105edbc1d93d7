"""The options of a search, read without a library: a question should not wait for a parser."""

from __future__ import annotations

from imgq import wire
from imgq.client import TIMEOUT
from imgq.errors import UsageError

# Each option with what it takes: None for nothing, else the word that stands for its value.
TAKES: dict[str, str | None] = {
    "--top": "N",
    "--like": "FILE",
    "--not": "TERM",
    "--in": "DIR",
    "--all": None,
    "--exact": None,
    "--wait": None,
    "--json": None,
    "--jsonl": None,
    "--paths": None,
    "--null": None,
    "--html": None,
    "--open": None,
    "--timeout": "SECONDS",
    "--help": None,
}
SHORT = {"-k": "--top", "-l": "--paths", "-0": "--null", "-h": "--help"}


class Asked:
    """A search's command line, taken apart; values are as they were written."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.html: str | None = None

    @property
    def top(self) -> int:
        written = self._last("--top", "20")
        if not written.isascii() or not written.isdigit() or not 1 <= int(written) <= wire.MOST_TOP:
            raise UsageError(
                f"--top takes a whole number from 1 to {wire.MOST_TOP}, not {written!r}"
            )
        return int(written)

    @property
    def timeout(self) -> float:
        return seconds(self._last("--timeout", str(TIMEOUT)))

    def all(self, option: str) -> list[str]:
        return self.values.get(option, [])

    def _last(self, option: str, default: str) -> str:
        return self.values.get(option, [default])[-1]


def seconds(written: str) -> float:
    """A number of seconds, 0 or more, at most a day."""
    try:
        value = float(written)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise UsageError(f"--timeout takes seconds, 0 to 86400, not {written!r}")
    return value


def parse(arguments: list[str]) -> Asked:
    """Takes a command line apart. Raises UsageError that names the option."""
    asked, left = Asked(), list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            asked.words += left
            break
        if word in ("-", "+") or not word.startswith("-"):
            asked.words.append(word)
        else:
            _option(asked, *_split(word), left)
    return asked


def _split(word: str) -> tuple[str, str | None]:
    """The option's full name, and the value written together with it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return SHORT.get(word[:2], word), word[2:] or None


def _option(asked: Asked, name: str, value: str | None, left: list[str]) -> None:
    if name not in TAKES:
        raise UsageError(f"there is no option {name}", "`imgq search --help` lists them")
    placeholder = TAKES[name]
    if placeholder is None:
        if value is not None and name != "--html":
            raise UsageError(f"{name} takes no value")
        asked.flags.add(name)
        asked.html = value if name == "--html" else asked.html
        return
    if value is None and not left:
        raise UsageError(f"{name} takes a value: {name} {placeholder}")
    asked.values.setdefault(name, []).append(left.pop(0) if value is None else value)
