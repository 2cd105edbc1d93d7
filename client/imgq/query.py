"""The query language: words to terms.

    horse + stripes - people        words up to an operator are one term
    2:golden retriever              a weight
    0.5:./pool.jpg   image:pool.jpg a picture
    \\16:9   \\+                      a backslash takes the meaning away

The query's vector is the unit vector of the sum of weight times embedding over what is wanted, minus the
same over what is not. A text knows nothing of files here: `pictures.read` fetches the bytes.
"""

from __future__ import annotations

from imgq.errors import UsageError
from imgq.record import Record, maybe, real, string

MOST_TERMS = 64
MOST_TEXT = 4096
_PICTURE_STARTS = ("./", "../", "/", "~/")


class Wanted(Record):
    """One term as it was written: a text, or the path of a picture (`-` is stdin)."""

    text: str | None = maybe(string(most=MOST_TEXT), default=None)
    path: str | None = maybe(string(), default=None)
    weight: float = real(-1000, 1000, default=1.0)


def parse(words: list[str]) -> list[Wanted]:
    """The terms of a query. Raises UsageError that names the term."""
    terms: list[Wanted] = []
    sign, term = 1.0, list[str]()
    # Split at single spaces, and joined by them again, a path keeps the spaces that it has.
    parts = " ".join(words).split(" ")
    for part in [*parts, "+"]:
        if part not in ("+", "-"):
            term.append(part)
            continue
        if _is_term(term) or terms or sign < 0:
            terms.append(parse_term(" ".join(term), sign))
        sign, term = (1.0 if part == "+" else -1.0), []
    return terms


def parse_term(written: str, sign: float = 1.0) -> Wanted:
    """One term, with its weight and kind."""
    weight, rest = _weight(written.strip())
    if not rest:
        raise UsageError(
            f"there is no word in the term {written!r}", "`imgq horse + stripes - people`"
        )
    weight *= sign
    if rest.startswith(("image:", *_PICTURE_STARTS)):
        path = " ".join(map(_without_backslash, rest.split(" ")))
        return Wanted(path=path.removeprefix("image:"), weight=weight)
    return Wanted(text=_text(rest), weight=weight)


def check(terms: list[Wanted]) -> None:
    """Raises UsageError where a query asks for nothing, or for too much."""
    if not terms:
        raise UsageError("the query is empty", '`imgq "red car"`, or `imgq --like photo.jpg`')
    if len(terms) > MOST_TERMS:
        raise UsageError(f"the query has {len(terms)} terms, {MOST_TERMS} is the most")
    if not any(term.weight > 0 for term in terms):
        raise UsageError(
            "the query only says what is not wanted", "`imgq beach - people` says what is, too"
        )


def _is_term(parts: list[str]) -> bool:
    return any(part.strip() for part in parts)


def _weight(written: str) -> tuple[float, str]:
    head, colon, rest = written.partition(":")
    if not colon or not head or not head.replace(".", "", 1).isdigit() or not head.isascii():
        return 1.0, written
    weight = float(head)
    if not 0 < weight <= 1000:
        raise UsageError(f"the weight of {written!r} is not above 0 and up to 1000")
    return weight, rest.strip()


def _text(written: str) -> str:
    """The text without the backslashes that took a meaning away, at its start and before operators."""
    text = " ".join(map(_without_backslash, written.split())).removeprefix("\\")
    if not text or len(text) > MOST_TEXT:
        raise UsageError(f"a term has {len(text)} characters, 1 to {MOST_TEXT} can be asked for")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"the term {text!r} is no text in UTF-8")
    return text


def _without_backslash(word: str) -> str:
    return word[1:] if word in ("\\+", "\\-") else word
