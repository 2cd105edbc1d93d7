"""From the terms of queries to what they mean: all texts in one batch, the pictures side by side."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgq import wire
from imgq.errors import Failure as Error
from imgq.errors import Refused, TimedOut, UsageError
from imgqd.embedder.jobs import QueryPicture, QueryVector
from imgqd.records import Failure
from imgqd.search.rank import combine

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Space


@dataclass(frozen=True, slots=True)
class Meant:
    """What a query means: float32 (dim,), unit norm; and the hashes of its own pictures."""

    vector: np.ndarray
    own: frozenset[bytes]


class Meaning:
    """In one space, for as long as it is asked."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def of(self, terms: Sequence[wire.Term], timeout: float) -> Meant:
        """Raises UsageError, TimedOut, Refused."""
        (meant,) = self.of_all([terms], timeout)
        return meant

    def of_all(
        self, queries: Sequence[Sequence[wire.Term]], timeout: float, first: int = 0
    ) -> list[Meant]:
        """Of each query; an error names its line, where that of the first one is told."""
        deadline = time.monotonic() + timeout
        lines = [first and first + place for place in range(len(queries))]
        for line, terms in zip(lines, queries, strict=True):
            with _of_line(line):
                _check(terms)
        work = [[self._submitted(term) for term in terms] for terms in queries]
        written = [term.text for terms in queries for term in terms if term.text is not None]
        texts = iter(self._space.texts.embed(written, timeout) if written else [])
        found = []
        for line, terms, works in zip(lines, queries, work, strict=True):
            with _of_line(line):
                found.append(_meant(terms, works, texts, deadline))
        return found

    def _submitted(self, term: wire.Term) -> QueryPicture | None:
        if term.picture is None:
            return None
        work = QueryPicture(_as_file(term.picture))
        self._space.submit(work)
        return work


@contextmanager
def _of_line(line: int) -> Iterator[None]:
    """Has an error say which line it is of, where there are lines."""
    try:
        yield
    except Error as error:
        if line:
            error.put_line(line)
        raise


def _meant(
    terms: Sequence[wire.Term],
    works: Sequence[QueryPicture | None],
    texts: Iterator[np.ndarray],
    deadline: float,
) -> Meant:
    """texts: the vectors of the texts that come next."""
    vectors, own = [], set()
    for term, work in zip(terms, works, strict=True):
        if work is None:
            vectors.append(next(texts))
        else:
            answer = _answer(term, work, deadline)
            own.add(answer.hash)
            vectors.append(answer.vector)
    return Meant(_combined(terms, vectors), frozenset(own))


def _check(terms: Sequence[wire.Term]) -> None:
    if not any(term.weight > 0 for term in terms):
        raise UsageError("the query does not say what is wanted")
    for term in terms:
        if (term.text is None) == (term.picture is None):
            raise UsageError("a term is one text or one picture")


def _combined(terms: Sequence[wire.Term], vectors: list[np.ndarray]) -> np.ndarray:
    vector = combine(np.stack(vectors), np.array([term.weight for term in terms], np.float32))
    if not vector.any():
        raise UsageError(
            "the terms of the query cancel each other out: nothing is left to look for"
        )
    return vector


def _answer(term: wire.Term, work: QueryPicture, deadline: float) -> QueryVector:
    try:
        answer = work.answer.result(max(deadline - time.monotonic(), 0))
    except FutureTimeout:
        raise TimedOut(
            "the picture of the query was not embedded in time", "`imgq status` tells why"
        ) from None
    if isinstance(answer, Failure):
        raise _refusal(term.name, answer)
    return answer


def _refusal(name: str, failure: Failure) -> UsageError | Refused:
    kind = UsageError if failure.kind in ("damaged", "unsupported", "too_large") else Refused
    which = f" {name!r}" * bool(name)
    return kind(f"the picture{which} of the query cannot be used: {failure.reason}")


def _as_file(data: bytes) -> int:
    """An open descriptor of bytes that no path leads to; decoders are handed nothing else."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("imgq-query", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
