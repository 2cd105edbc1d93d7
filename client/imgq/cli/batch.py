"""`imgq search --batch FILE`: a query a line, asked together; a line of JSON for each, in their order."""

from __future__ import annotations

import os
import sys

from imgq import query, render, wire
from imgq.cli.search import note, request, term, when_settled
from imgq.client import stream
from imgq.errors import UsageError
from imgq.record import Record, integer, many, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgq.cli.options import Asked

MOST_BYTES = 48 << 20
# Each is an open file in the daemon, for a moment.
MOST_PICTURES = 256
MOST_FILE = 64 << 20
# What asks for something else than a query a line, or for another form of the answer.
ALONE = [
    "--like",
    "--not",
    "--negative",
    "--weights",
    "--html",
    "--open",
    "--preview",
    "--paths",
    "--null",
]


class Line(Record):
    """A query, and where it stands: 1 the first."""

    number: int = integer(1)
    terms: tuple[query.Wanted, ...] = many(record(query.Wanted))


def search(asked: Asked) -> int:
    """Asks, prints the answers, returns the exit code: 1 where nothing was found for any."""
    (path,) = asked.all("--batch")[-1:]
    _require_alone(asked)
    lines = list(_lines(_read(path)))
    options = when_settled(request(asked, ()), asked)
    found, is_first = False, True
    for some, asks in _batches(lines, options):
        pieces = [each for each in stream(asks, options.timeout) if isinstance(each, wire.Hits)]
        if is_first:
            note(pieces[0])
        is_first = False
        answers: list[list[wire.Hit]] = [[] for _ in some]
        for piece in pieces:
            for hit in piece.hits:
                answers[hit.query].append(hit)
        for line, hits in zip(some, answers, strict=True):
            title = query.printed(line.terms)
            sys.stdout.buffer.write(render.json_line(render.answer(title, pieces[0], hits)))
            found = found or bool(hits)
    return 0 if found else 1


def _require_alone(asked: Asked) -> None:
    if asked.words:
        raise UsageError(
            f"--batch takes its queries from a file, not {' '.join(asked.words)!r}",
            "imgq search --batch FILE",
        )
    for option in ALONE:
        if option in asked.flags or asked.all(option):
            raise UsageError(f"{option} and --batch do not go together")


def _read(path: str) -> bytes:
    """The lines of the file, as they are; `-` is stdin."""
    try:
        with open(
            0 if path == "-" else os.path.expanduser(path), "rb", closefd=path != "-"
        ) as file:
            data = file.read(MOST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the batch {path!r}: {reason}") from None
    if len(data) > MOST_FILE:
        raise UsageError(f"the batch {path!r} is larger than {MOST_FILE >> 20} MiB")
    return data


def _lines(data: bytes) -> Iterator[Line]:
    written = data.removesuffix(b"\n").split(b"\n") if data else []
    if not written:
        raise UsageError("the batch is empty", "a query a line: `printf 'red car\\nbeach\\n'`")
    for number, line in enumerate(written, 1):
        try:
            terms = query.parse([os.fsdecode(line.removesuffix(b"\r"))])
            query.check(terms)
        except UsageError as error:
            error.put_line(number)
            raise
        yield Line(number=number, terms=tuple(terms))


def _terms(line: Line) -> list[wire.Term]:
    try:
        return [term(wanted) for wanted in line.terms]
    except UsageError as error:
        error.put_line(line.number)
        raise


def _batches(lines: list[Line], options: wire.Search) -> Iterator[tuple[list[Line], wire.Batch]]:
    """The queries, as many at a time as one message takes."""
    some: list[Line] = []
    terms: list[wire.BatchTerm] = []
    for line in lines:
        own = [wire.BatchTerm(query=len(some), **term.__dict__) for term in _terms(line)]
        if some and not (_fits(terms, own) and (len(some) + 1) * options.top <= wire.MOST_FOUND):
            yield some, _batch(some, terms, options)
            some, terms = [], []
            own = [wire.BatchTerm(**term.__dict__ | {"query": 0}) for term in own]
        terms += own
        some.append(line)
    yield some, _batch(some, terms, options)


def _fits(terms: list[wire.BatchTerm], more: list[wire.BatchTerm]) -> bool:
    """Whether one message takes them all."""
    sizes = [len(term.picture) for term in (*terms, *more) if term.picture is not None]
    few = len(terms) + len(more) <= wire.MOST_QUERIES and len(sizes) <= MOST_PICTURES
    return few and sum(sizes) <= MOST_BYTES


def _batch(lines: list[Line], terms: list[wire.BatchTerm], options: wire.Search) -> wire.Batch:
    return wire.Batch(options=options, terms=tuple(terms), first=lines[0].number)
