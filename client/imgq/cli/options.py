"""The options of a search, read without a library: a question should not wait for a parser."""

from __future__ import annotations

from imgq import query, wire
from imgq.client import TIMEOUT
from imgq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

# Each option with what it takes: None for nothing, else the word that stands for its value.
TAKES: dict[str, str | None] = {
    "--top": "N",
    "--like": "FILE",
    "--not": "TERM",
    "--weights": "A B",
    "--negative": "TERM",
    "--negative-weight": "X",
    "--batch": "FILE",
    "--in": "DIR",
    "--after": "DATE",
    "--before": "DATE",
    "--camera": "TEXT",
    "--lens": "TEXT",
    "--ext": "EXT",
    "--near": "LAT,LON,KM",
    "--size": "SIZE",
    "--orientation": "WORD",
    "--rating": "N",
    "--text": "WORDS",
    "--all": None,
    "--exact": None,
    "--model": "NAME",
    "--min-score": "X|auto",
    "--wait": None,
    "--json": None,
    "--jsonl": None,
    "--paths": None,
    "--null": None,
    "--html": None,
    "--open": None,
    "--preview": None,
    "--timeout": "SECONDS",
    "--help": None,
}
# What narrows a search; `imgq.filters` reads their values.
FILTERS = frozenset(
    """--in --after --before --camera --lens --ext --near --size --orientation --rating
    --text""".split()  # noqa: SIM905 - as words they are read more easily
)
# An answer has one of these forms.
_FORMS = (("--json",), ("--jsonl",), ("--paths", "--null"), ("--html", "--open"))
# Those that may have a value, and what stands for it.
OPTIONAL = {"--html": "FILE", "--help": "OPTION"}
SHORT = {"-k": "--top", "-l": "--paths", "-0": "--null", "-h": "--help"}


class Asked:
    """A search's command line, taken apart; values are as they were written."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.optional: dict[str, str] = {}

    @property
    def html(self) -> str | None:
        return self.optional.get("--html")

    @property
    def top(self) -> int:
        written = self._last("--top", "20")
        # Python makes no number of more than some thousand digits.
        is_number = written.isascii() and written.isdigit() and len(written) < 20
        if not is_number or not 1 <= int(written) <= wire.MOST_TOP:
            raise UsageError(
                f"--top takes a whole number from 1 to {wire.MOST_TOP}, not {written[:40]!r}"
            )
        return int(written)

    @property
    def weights(self) -> tuple[float, float] | None:
        """Of the text and of the picture."""
        if not (written := self.all("--weights")):
            return None
        text, picture = (weight("--weights", each) for each in written[-2:])
        if not text + picture:
            raise UsageError("--weights takes two numbers, and both are 0")
        return text, picture

    @property
    def negative_weight(self) -> float:
        if self.all("--negative-weight") and not self.all("--negative"):
            raise UsageError(
                "--negative-weight weighs what --negative names, and there is none",
                "`imgq beach --negative people --negative-weight 0.3`",
            )
        return weight("--negative-weight", self._last("--negative-weight", "0.5"))

    @property
    def filter(self) -> wire.Filter:
        if not FILTERS & self.values.keys():
            return wire.Filter()
        from imgq import filters

        return filters.read(self.values)

    @property
    def timeout(self) -> float:
        return seconds(self._last("--timeout", str(TIMEOUT)))

    @property
    def min_score(self) -> dict[str, Any]:
        """As the fields of a search."""
        return min_score(self.values["--min-score"][-1]) if "--min-score" in self.values else {}

    @property
    def model(self) -> str | None:
        name = self._last("--model", "")
        if "--model" in self.values and not 0 < len(name) <= wire.MOST_NAME:
            raise UsageError("--model takes a model's name", "`imgq model list` shows them")
        return name or None

    def all(self, option: str) -> list[str]:
        return self.values.get(option, [])

    def _last(self, option: str, default: str) -> str:
        return self.values.get(option, [default])[-1]


def weight(option: str, written: str) -> float:
    """A weight that an option takes, which may be none."""
    value = query.number(written)
    if value is None or not 0 <= value <= query.MOST_WEIGHT:
        raise UsageError(f"{option} takes numbers from 0 to {query.MOST_WEIGHT:g}, not {written!r}")
    return value


def seconds(written: str) -> float:
    """A number of seconds, 0 or more, at most a day."""
    try:
        value = float(written)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise UsageError(f"--timeout takes seconds, 0 to 86400, not {written!r}")
    return value


def min_score(written: str) -> dict[str, Any]:
    """A number, or `auto`, as the fields of a search."""
    if written == "auto":
        return {"auto": True}
    try:
        value = float(written)
    except ValueError:
        value = 2.0
    if not -1 <= value <= 1:
        raise UsageError(f"--min-score takes a number from -1 to 1, or auto, not {written!r}")
    return {"min_score": value}


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
    _require_one_form(asked.flags)
    return asked


def beside(held: Asked, own: Asked, without: Container[str] = ()) -> Asked:
    """What a line says, and what holds beside it: none of `without`, and no form of an answer where the
    line has another."""
    both = Asked()
    both.words = own.words
    replaced = {
        flag
        for form in _FORMS
        if any(own.flags & {*other} for other in _FORMS if other != form)
        for flag in form
    }
    both.flags = own.flags | {each for each in held.flags - replaced if each not in without}
    both.optional = held.optional | own.optional
    for option in {**held.values, **own.values}:
        kept = [] if option in without else held.all(option)
        if values := kept + own.all(option):
            both.values[option] = values
    return both


def _require_one_form(flags: set[str]) -> None:
    forms = [next(each for each in form if each in flags) for form in _FORMS if flags & {*form}]
    if len(forms) > 1:
        raise not_together(forms[0], forms[1])


def not_together(one: str, other: str) -> UsageError:
    """Of two forms of one answer."""
    return UsageError(
        f"{one} and {other} do not go together", "an answer has one form: leave one of them out"
    )


def _split(word: str) -> tuple[str, str | None]:
    """The option's full name, and the value written together with it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    name = SHORT.get(word[:2], word)
    if len(word) > 2 and TAKES.get(name) is None:
        # A flag's letter and more is no flag.
        return word, None
    return name, word[2:] or None


def _option(asked: Asked, name: str, value: str | None, left: list[str]) -> None:
    if name not in TAKES:
        raise UsageError(f"there is no option {name}", _meant(name))
    placeholder = TAKES[name]
    if placeholder is None:
        if value is not None and name not in OPTIONAL:
            raise UsageError(f"{name} takes no value")
        asked.flags.add(name)
        if value is not None:
            asked.optional[name] = value
        return
    values = [] if value is None else [value]
    count = len(placeholder.split())
    while left and len(values) < count:
        values.append(left.pop(0))
    if len(values) < count:
        number = "a value" if count == 1 else f"{count} values"
        raise UsageError(f"{name} takes {number}: {name} {placeholder}")
    if count > 1 and left and query.number(left[0]) is not None:
        raise UsageError(f"{name} takes exactly {count} numbers: {name} {placeholder}")
    asked.values.setdefault(name, []).extend(values)


def _meant(name: str) -> str:
    """What may have been meant by what is no option."""
    if not name.startswith("--"):
        return "what is not wanted is said with a space: `imgq beach - people`"
    from difflib import get_close_matches

    near = get_close_matches(name, [option for option in TAKES if option != name], 1)
    return f"did you mean {near[0]}?" if near else "`imgq search --help` lists them"
