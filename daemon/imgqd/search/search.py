"""A query from its terms to its hits."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

import numpy as np

from imgq import wire
from imgq.errors import Refused, TimedOut, UsageError
from imgqd.embedder.jobs import QueryPicture, QueryVector
from imgqd.embedder.pipeline import Pipeline
from imgqd.index import Index
from imgqd.library.roots import Roots
from imgqd.records import Failure
from imgqd.search.exact import nearest_stored
from imgqd.search.filters import Scope, normal, scope
from imgqd.search.rank import combine, nearest
from imgqd.search.selftest import SelfTest
from imgqd.search.texts import TextTower
from imgqd.shown import hit

_FILES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Meant:
    """What a query means: float32 (dim,), unit norm; and the hashes of its own pictures."""

    vector: np.ndarray
    own: frozenset[bytes]


class Searcher:
    """Answers searches; any number of threads at once."""

    def __init__(self, index: Index, roots: Roots, texts: TextTower, pipeline: Pipeline) -> None:
        self._index = index
        self._roots = roots
        self._texts = texts
        self._pipeline = pipeline
        self.selftest = SelfTest()

    def hits(self, request: wire.Search) -> Iterator[wire.Hit]:
        """The files that are found, best first, equals by path."""
        if not request.terms and request.filter.words is not None:
            return self._by_words(request)
        meant = self._meant(request)
        may = scope(self._index.store, request, away=bool(self._roots.offline()))
        own = [self._index.store.known(hash) for hash in meant.own]
        left_out = [each for each in own if each is not None]
        asked = meant.vector, request.top, may.pictures, left_out
        if request.exact:
            pictures = nearest_stored(self._index.store, *asked)
        else:
            pictures = nearest(self._index.resident.snapshot(), *asked)
            self.selftest.saw(meant.vector)
        return self._files(may, pictures, request.top)

    def _by_words(self, request: wire.Search) -> Iterator[wire.Hit]:
        """The files that the words of the filter are found in, by how well they fit."""
        store = self._index.store
        passed = store.passed(normal(request.filter), offline=request.offline)
        assert passed.scores is not None
        best = np.lexsort((passed.files, -passed.scores))[: request.top]
        scores = dict(zip(passed.files[best].tolist(), passed.scores[best].tolist(), strict=True))
        found = [hit(shown, scores[id]) for id, shown in store.shown(scores).items()]
        return iter(sorted(found, key=lambda each: (-each.score, each.path)))

    def left_out(self) -> int:
        """How many files are left out of answers because their root is offline."""
        return self._index.store.counts().offline if self._roots.offline() else 0

    def _files(
        self, may: Scope, pictures: Sequence[tuple[int, float]], left: int
    ) -> Iterator[wire.Hit]:
        for start in range(0, len(pictures), _FILES_AT_ONCE):
            some = pictures[start : start + _FILES_AT_ONCE]
            files = self._index.store.files_of([picture for picture, _ in some])
            found = [
                hit(shown, score)
                for picture, score in some
                for shown in files.get(picture, ())
                if may.holds(shown)
            ]
            found.sort(key=lambda each: (-each.score, each.path))
            yield from found[:left]
            left -= len(found)
            if left <= 0:
                return

    def _meant(self, request: wire.Search) -> Meant:
        if not any(term.weight > 0 for term in request.terms):
            raise UsageError("the query does not say what is wanted")
        deadline = time.monotonic() + request.timeout
        vectors, own = [], set()
        for term in request.terms:
            if (term.text is None) == (term.picture is None):
                raise UsageError("a term is one text or one picture")
            if term.text is not None:
                vectors.append(self._texts.embed(term.text, deadline - time.monotonic()))
            else:
                found = self._picture(term, deadline)
                own.add(found.hash)
                vectors.append(found.vector)
        weights = np.array([term.weight for term in request.terms], np.float32)
        vector = combine(np.stack(vectors), weights)
        if not vector.any():
            raise UsageError(
                "the terms of the query cancel each other out: nothing is left to look for"
            )
        return Meant(vector, frozenset(own))

    def _picture(self, term: wire.Term, deadline: float) -> QueryVector:
        work = QueryPicture(_as_file(term.picture or b""))
        self._pipeline.submit(work)
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
