"""What a line means to `imgq shell`: a query, or one of a few orders about the answer before."""

from __future__ import annotations

from imgq.record import Record, choice, integer, many, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HELP = """\
  red car                    a query, as `imgq QUERY…` takes it, and its options
  beach - people k:50        k:N, at most N hits
  --in ~/Pictures/2024       options alone hold from then on, until `reset`
  3                          opens the third hit (also `open 1 3`)
  like 3                     pictures like the third hit (also `like 3 + snow`)
  more 3                     the last query, and more like the third hit
  less 2                     the last query, and less like the second hit
  search help                the words themselves (also `\\help`)
  help, quit                 this; the end (also Ctrl-D)
"""
ALONE = {
    "help": "help",
    "?": "help",
    "--help": "help",
    "-h": "help",
    "quit": "quit",
    "exit": "quit",
}
_NUMBERED = ("open", "more", "less")
# Words that begin a line, for whoever completes them.
ORDERS = ("exit", "help", "less", "like", "more", "open", "quit", "reset", "search")


class Line(Record):
    """order: what is to be done; numbers: with which hits; words: of the query, and its options."""

    order: str = choice(
        "nothing", "help", "quit", "reset", "open", "like", "more", "less", "search"
    )
    numbers: tuple[int, ...] = many(integer(), default=())
    words: tuple[str, ...] = many(string(most=1 << 20), most=1 << 20, default=())


def read(line: str) -> Line:
    """Every line means something; what is no order is a query."""
    words = list(split(line))
    first, rest = (words[0], words[1:]) if words else ("", [])
    if not words:
        return Line(order="nothing")
    if len(words) == 1 and first in (*ALONE, "reset"):
        return Line(order=ALONE.get(first, "reset"))
    if all(map(_is_number, words)):
        return Line(order="open", numbers=_numbers(words))
    if first in _NUMBERED and rest and all(map(_is_number, rest)):
        return Line(order=first, numbers=_numbers(rest))
    if first == "like" and rest and _is_number(rest[0]):
        return Line(order="like", numbers=_numbers(rest[:1]), words=_query(rest[1:]))
    return Line(order="search", words=_query(rest if first == "search" else words))


def split(line: str) -> Iterator[str]:
    """Words; quotes around some of them make those one. A backslash is the query language's."""
    left = line.lstrip()
    while left:
        end = left.find(left[0], 1) if left[0] in "\"'" else -1
        if end > 0 and (left[end + 1 :] == "" or left[end + 1].isspace()):
            yield left[1:end]
            left = left[end + 1 :].lstrip()
        else:
            word = left.split(None, 1)[0]
            yield word
            left = left[len(word) :].lstrip()


def _query(words: list[str]) -> tuple[str, ...]:
    """The words as a command line has them: k:N is the option."""
    return tuple(
        f"--top={word[2:]}" if word.startswith("k:") and _is_number(word[2:]) else word
        for word in words
    )


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 10


def _numbers(words: list[str]) -> tuple[int, ...]:
    return tuple(map(int, words))
