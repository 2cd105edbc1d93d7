"""`imgq shell`: query after query."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from imgq import query, render, wire
from imgq.cli import options, search, shell_lines
from imgq.cli.options import Asked
from imgq.errors import Failure, UsageError
from imgq.paths import is_far, require_here
from imgq.record import BadField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imgq.cli.shell_lines import Line

_FORMS = {"--html", "--open", "--json", "--jsonl", "--null", "--paths"}
# What makes a query; without any of it, a line of options holds for those that follow.
_MEANINGS = {"--like", "--not", "--negative"}
_SUBJECTS = {*_MEANINGS, "--text"}
# What is about likeness, and holds for no line that has words looked up alone.
_OF_MEANING = ("--min-score", "--exact", "--weights")
# As much as --negative weighs unless told otherwise.
_LESS = -0.5


@click.command()
def shell() -> None:
    """Ask query after query; `help` at its prompt tells what it takes."""
    session = Session()
    ask = _lines()
    while True:
        try:
            line = shell_lines.read(ask())
            if line.order == "quit":
                return
            session.do(line)
        except EOFError:
            return
        except KeyboardInterrupt:
            # The line, or the question, and not the shell.
            print()
        except Failure as failure:
            _say(str(failure))
        except BadField as error:
            _say(f"too much is asked: {error.plain or error}")


def _say(words: str) -> None:
    sys.stderr.write(f"imgq: {render.words(words)}\n")


def _lines() -> Callable[[], str]:
    """What gives one line after another, and raises EOFError at the end."""
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return input
    try:
        from imgq.cli.shell_prompt import Prompt
    except ImportError:  # a Python built without readline
        return lambda: input("imgq> ")
    return Prompt().line


def _fetched(hit: wire.Hit) -> bytes:
    """What a file of another machine shows, as large as the daemon draws it. Raises UsageError."""
    from imgq import thumbnails

    (picture,) = thumbnails.fetched([hit], 1024)
    if picture is None:
        raise UsageError(f"{os.fsdecode(hit.path)} shows no picture any more")
    return picture


def _is_hit(like: str) -> bool:
    """Whether --like means a hit by its number, which is no file's name."""
    return like.isascii() and like.isdigit() and len(like) < 10 and not os.path.exists(like)


class Session:
    """What a shell remembers: options that hold, and the last query with its answer."""

    def __init__(self) -> None:
        self._held = Asked()
        self._terms: list[query.Wanted] = []
        self._hits: list[wire.Hit] = []
        self._noted: tuple[str, int, bool] | None = None

    def do(self, line: Line) -> None:
        """Raises Failure, and BadField for what no message takes."""
        match line.order:
            case "help":
                sys.stdout.write(shell_lines.HELP)
            case "reset":
                self._held = Asked()
            case "open":
                self._open(line.numbers)
            case "like":
                self._ask(line.words, [self._picture(number) for number in line.numbers])
            case "more":
                self._ask((), self._refined(line.numbers, 1.0))
            case "less":
                self._ask((), self._refined(line.numbers, _LESS))
            case "search":
                self._search(line.words)

    def _search(self, words: tuple[str, ...]) -> None:
        asked = options.parse(list(words))
        if asked.all("--batch"):
            raise UsageError(
                "a shell takes a query at a time", "`imgq --batch FILE`, outside of it"
            )
        if "--help" in asked.flags:
            search.show_help(asked.optional.get("--help"))
        elif asked.words or _SUBJECTS & asked.values.keys():
            self._ask(words)
        else:
            self._hold(asked)

    def _hold(self, asked: Asked) -> None:
        """What cannot be is said now, and not with the next query."""
        held = options.beside(self._held, asked)
        search.request(held, ())
        self._held = held

    def _ask(self, words: Iterable[str], given: Iterable[query.Wanted] = ()) -> None:
        line = options.parse(list(words))
        asked = self._with_held(line, bool(given))
        like = asked.all("--like")
        given = [*given, *(self._picture(int(each)) for each in like if _is_hit(each))]
        asked.values["--like"] = [each for each in like if not _is_hit(each)]
        # What holds is weighed once, however often the query is refined.
        said = search.terms(asked, given)
        if "--weights" not in line.values and query.missing_kind(said):
            # What holds is for queries that have both.
            asked.values.pop("--weights", None)
        terms = search.weighed(asked, said)
        asks = search.request(asked, terms)
        first, hits = search.answer(search.when_settled(asks, asked))
        # By their bytes the daemon leaves the pictures of a query out of its answer, and these have others.
        own = {term.path for term in terms if term.picture}
        hits = [hit for hit in hits if os.fsdecode(hit.path) not in own] if own else hits
        self._note(first)
        self._terms, self._hits = said, hits
        if given and sys.stdout.isatty():
            print(render.words(query.printed(terms)))
        self._show(asked, terms, first)

    def _with_held(self, line: Asked, is_refined: bool) -> Asked:
        """The line, and what holds, as far as it is about a query like this one."""
        without = set() if "--negative" in line.values else {"--negative-weight"}
        if not (is_refined or line.words or line.values.keys() & _MEANINGS):
            without.update(_OF_MEANING)
        return options.beside(self._held, line, without)

    def _note(self, first: wire.Hits) -> None:
        """What is worth a note is so once, and not at every question."""
        now = (first.model, first.left_out, bool(first.index.pending))
        if now != self._noted:
            search.note(first)
        self._noted = now

    def _show(self, asked: Asked, terms: list[query.Wanted], first: wire.Hits) -> None:
        if asked.flags & _FORMS:
            search.show(asked, terms, first, self._hits)
        elif self._hits:
            search.show_lines(self._hits, asked.flags, numbered=True)
        else:
            print("nothing was found")
        sys.stdout.flush()

    def _hit(self, number: int) -> wire.Hit:
        if not 1 <= number <= len(self._hits):
            there = f"has {len(self._hits)}" if self._hits else "is none yet"
            raise UsageError(f"there is no hit {number}: the last answer {there}")
        return self._hits[number - 1]

    def _picture(self, number: int, weight: float = 1.0) -> query.Wanted:
        hit = self._hit(number)
        picture = _fetched(hit) if is_far() else None
        return query.Wanted(path=os.fsdecode(hit.path), weight=weight, picture=picture)

    def _refined(self, numbers: Iterable[int], weight: float) -> list[query.Wanted]:
        return [*self._terms, *(self._picture(number, weight) for number in numbers)]

    def _open(self, numbers: Iterable[int]) -> None:
        require_here("shell: open")
        program = "open" if sys.platform == "darwin" else "xdg-open"
        for path in [self._hit(number).path for number in numbers]:
            quiet = subprocess.DEVNULL
            try:
                subprocess.Popen(
                    [program, path], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
                )
            except OSError as error:
                raise UsageError(f"{program} cannot be started: {error.strerror}") from None
