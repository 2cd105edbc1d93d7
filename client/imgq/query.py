"""The query language: words to terms, and back.

    horse + stripes - people        words up to an operator are one term
    2:golden retriever              a weight
    0.5:./pool.jpg   image:pool.jpg a picture
    \\16:9   \\+                      a backslash takes the meaning away

The query's vector is the unit vector of the sum of weight times embedding over what is wanted, minus the
same over what is not. A text knows nothing of files here: `pictures.read` fetches the bytes.
"""

from __future__ import annotations

from imgq.errors import QueryError, UsageError
from imgq.record import Record, binary, maybe, real, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_TERMS = 64
MOST_TEXT = 4096
MOST_WEIGHT = 1000.0
_SIGNS = {"+": 1.0, "-": -1.0}
_IMAGE = "image:"
PATH_STARTS = ("./", "../", "/", "~/")
_PICTURE_STARTS = (*PATH_STARTS, _IMAGE)


class Wanted(Record):
    """One term as it was written: a text, or the path of a picture (`-` is stdin). picture: its bytes
    where that is a path of another machine."""

    text: str | None = maybe(string(most=MOST_TEXT), default=None)
    path: str | None = maybe(string(), default=None)
    weight: float = real(-MOST_WEIGHT, MOST_WEIGHT, default=1.0)
    picture: bytes | None = maybe(binary(most=4 << 20), default=None)


class _Place:
    """A part of a query, from `start` up to `end`."""

    def __init__(self, query: str, start: int, end: int) -> None:
        self.query, self.start, self.end = query, start, end
        self.written = query[start:end]

    def behind(self, count: int) -> _Place:
        """What follows the first `count` characters, and the space behind those."""
        rest = self.written[count:]
        return _Place(self.query, self.end - len(rest.lstrip()), self.end)

    def error(self, message: str, hint: str = "") -> QueryError:
        return QueryError(message, hint, self.query, (self.start, self.end))


def parse(words: Sequence[str]) -> list[Wanted]:
    """The terms of a query. Raises QueryError, which points at the term."""
    query = " ".join(words)
    terms: list[Wanted] = []
    operator, term = None, list[_Place]()
    for word in _words(query):
        if word.written not in _SIGNS:
            term.append(word)
            continue
        if term or operator:
            terms.append(_joined(operator, term))
        operator, term = word, []
    if term or operator:
        terms.append(_joined(operator, term))
    return terms


def parse_term(written: str, weight: float = 1.0) -> Wanted:
    """One term, its own weight times `weight`; operators are words in it."""
    start = len(written) - len(written.lstrip())
    return _term(_Place(written, start, max(len(written.rstrip()), start)), weight)


def printed(terms: Iterable[Wanted]) -> str:
    """The query in its own language: `parse` reads these terms from it."""
    parts: list[str] = []
    for term in terms:
        if parts or term.weight < 0:
            parts.append("-" if term.weight < 0 else "+")
        weight = repr(abs(term.weight)).removesuffix(".0") + ":"
        subject = _printed_text(term.text) if term.path is None else _printed_path(term.path)
        parts.append(weight * (weight != "1:") + subject)
    return " ".join(parts)


def check(terms: Sequence[Wanted]) -> None:
    """Raises UsageError where a query asks for nothing, or for too much."""
    if not terms:
        raise UsageError("the query is empty", '`imgq "red car"`, or `imgq --like photo.jpg`')
    if len(terms) > MOST_TERMS:
        raise UsageError(f"the query has {len(terms)} terms, {MOST_TERMS} is the most")
    if not any(term.weight > 0 for term in terms):
        raise UsageError(
            "the query only says what is not wanted", "`imgq beach - people` says what is, too"
        )


def balanced(terms: Sequence[Wanted], text: float, picture: float) -> list[Wanted]:
    """The terms; texts that are wanted weigh so many times as much, and pictures so many times."""
    if kind := missing_kind(terms):
        raise UsageError(
            f"--weights weighs a text and a picture, and the query has no {kind}",
            "`imgq beach --like pool.jpg --weights 0.7 0.3`",
        )
    return [_times(term, text if term.path is None else picture) for term in terms]


def missing_kind(terms: Sequence[Wanted]) -> str | None:
    """Which of the two there is none of among what is wanted: text, or picture."""
    are_texts = {term.path is None for term in terms if term.weight > 0}
    return None if len(are_texts) > 1 else "picture" if True in are_texts else "text"


def number(head: str) -> float | None:
    """The number that is written there, which may be any; None where there is none."""
    if not head.isascii() or "_" in head or head != head.strip():
        return None
    try:
        return float(head)
    except ValueError:
        return None


def _times(term: Wanted, factor: float) -> Wanted:
    if term.weight < 0:
        return term
    return Wanted(**term.__dict__ | {"weight": term.weight * factor})


def _words(query: str) -> Iterator[_Place]:
    end = 0
    for word in query.split():
        start = query.index(word, end)
        end = start + len(word)
        yield _Place(query, start, end)


def _joined(operator: _Place | None, words: list[_Place]) -> Wanted:
    """The term of these words behind an operator, or at the start."""
    if words:
        place = _Place(words[0].query, words[0].start, words[-1].end)
        return _term(place, _SIGNS[operator.written] if operator else 1.0)
    assert operator
    raise operator.error(
        f"there is no term behind `{operator.written}`",
        rf"`imgq horse + stripes - people`; `\{operator.written}` is the character itself",
    )


def _term(place: _Place, weight: float) -> Wanted:
    own, subject = _weighed(place)
    if subject.written.startswith(_PICTURE_STARTS):
        return Wanted(path=_path(subject), weight=own * weight)
    return Wanted(text=_text(subject), weight=own * weight)


def _weighed(place: _Place) -> tuple[float, _Place]:
    head, colon, _ = place.written.partition(":")
    weight = number(head) if colon else None
    if weight is None:
        return 1.0, place
    if not 0 < weight <= MOST_WEIGHT:
        negative = "`beach - 2:people` says what is not wanted; " * (weight < 0)
        raise place.error(
            f"the weight of {place.written[:40]!r} is not above 0 and at most {MOST_WEIGHT:g}",
            rf"{negative}a backslash has it read as text: `\{place.written:.40}`",
        )
    return weight, place.behind(len(head) + 1)


def _text(place: _Place) -> str:
    """The text without the backslashes that took a meaning away, at its start and before operators."""
    first, *others = place.written.split() or [""]
    text = " ".join([first.removeprefix("\\"), *map(_without_backslash, others)]).strip()
    if not text:
        raise place.error(
            "there is no word in the term" + f" {place.written!r}" * bool(place.written),
            "`imgq horse + stripes - people`",
        )
    if len(text) > MOST_TEXT:
        raise UsageError(f"a term has {len(text)} characters, {MOST_TEXT} is the most")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise place.error(f"the term {text!r} is no text in UTF-8")
    return text


def _path(place: _Place) -> str:
    path = _each_word(place.written, _without_backslash).removeprefix(_IMAGE)
    if not path:
        raise place.error(f"the term {place.written!r} names no picture", "`image:pool.jpg`")
    return path


def _printed_text(text: str | None) -> str:
    first, *others = (text or "").split(" ")
    head, colon, _ = (text or "").partition(":")
    means = (
        first.startswith(("\\", *_PICTURE_STARTS))
        or first in _SIGNS
        or (colon and number(head) is not None)
    )
    return " ".join(["\\" * bool(means) + first, *map(_with_backslash, others)])


def _printed_path(path: str) -> str:
    named = path.startswith(_PICTURE_STARTS) and not path.startswith(_IMAGE)
    return _each_word(path if named else _IMAGE + path, _with_backslash)


def _each_word(text: str, change: Callable[[str], str]) -> str:
    """The text with its words changed, and the space between them as it is."""
    parts, end = list[str](), 0
    for word in _words(text):
        parts += [text[end : word.start], change(word.written)]
        end = word.end
    return "".join(parts) + text[end:]


def _is_operator(word: str) -> bool:
    """Whether it is one, but for backslashes before it."""
    return word.lstrip("\\") in _SIGNS


def _with_backslash(word: str) -> str:
    return f"\\{word}" if _is_operator(word) else word


def _without_backslash(word: str) -> str:
    return word.removeprefix("\\") if _is_operator(word) else word
