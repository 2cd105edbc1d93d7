"""Long answers, piece by piece: no reply is larger than a client takes, and no read of the store lasts as
long as a slow client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from imgq import wire

# A client that does not read keeps its next piece waiting, with others of its own.
BYTES_A_REPLY = 1 << 20

T = TypeVar("T")


def in_pieces(found: Iterable[T], most: int = wire.ROWS_A_REPLY) -> Iterator[tuple[T, ...]]:
    """At most so many rows, and bytes, a piece; one at least, be it empty."""
    piece: list[T] = []
    size, is_first = 0, True
    for row in found:
        added = _size(row)
        if len(piece) == most or size + added > BYTES_A_REPLY:
            yield tuple(piece)
            piece, size, is_first = [], 0, False
        piece.append(row)
        size += added
    if piece or is_first:
        yield tuple(piece)


def rows(listing: Callable[[int, int], list[Any]]) -> Iterator[Any]:
    """All that a listing of the store has, page after page, by each row's number."""
    page = listing(0, wire.ROWS_A_REPLY)
    while page:
        yield from page
        page = listing(_cursor(page[-1]), wire.ROWS_A_REPLY)


def _cursor(row: Any) -> int:
    return int(row.shown.file if hasattr(row, "shown") else row.file)


def _size(row: T) -> int:
    """Of what has no small bound in it."""
    return sum(len(value) for value in vars(row).values() if isinstance(value, bytes | str))
