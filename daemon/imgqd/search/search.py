"""A query from its terms to its hits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgq import wire
from imgq.errors import UsageError
from imgqd.exchange.spaces import Space
from imgqd.index import Index
from imgqd.library.roots import Roots
from imgqd.search import cutoff
from imgqd.search.exact import many_stored
from imgqd.search.filters import Scope, normal, scope
from imgqd.search.meaning import Meaning, Meant
from imgqd.search.rank import Found, many
from imgqd.search.selftest import SAMPLES, SelfTest
from imgqd.search.times import Times
from imgqd.shown import hit
from imgqd.store import Shown

_FILES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Ranked:
    """What was found for a query of a batch; files: those of the first pictures, where they are known."""

    pictures: Found
    query: int = 0
    files: Mapping[int, list[Shown]] | None = None


class Searcher:
    """Answers searches; any number of threads at once."""

    def __init__(self, index: Index, roots: Roots) -> None:
        self._index = index
        self._roots = roots
        self.selftest = SelfTest()
        self.times = Times()

    def hits(self, space: Space, request: wire.Search) -> Iterator[wire.Hit]:
        """The files that are found, best first, equals by path. The space is asked no more when this
        returns."""
        if not request.terms and request.filter.words is not None:
            return self._by_words(request)
        with self.times.timed("embed"):
            meant = Meaning(space).of(request.terms, request.timeout)
        may = self._scope(request)
        (pictures,) = self._nearest(space, request, may, [meant])
        return self._files(may, Ranked(pictures), request.top)

    def batch(self, space: Space, request: wire.Batch) -> Iterator[wire.Hit]:
        """The same for each of many queries, one after the other."""
        options = request.options
        queries = _queries(request.terms)
        if len(queries) * options.top > wire.MOST_FOUND:
            raise UsageError(
                f"{len(queries)} queries ask for {options.top} hits each; {wire.MOST_FOUND} in all"
                " are the most",
                "ask fewer queries at a time, or for fewer hits",
            )
        with self.times.timed("embed", len(queries)):
            meant = Meaning(space).of_all(queries, options.timeout, request.first)
        may = self._scope(options)
        return self._batch_files(options, may, self._nearest(space, options, may, meant))

    def _batch_files(
        self, options: wire.Search, may: Scope, found: Sequence[Found]
    ) -> Iterator[wire.Hit]:
        step = max(_FILES_AT_ONCE // options.top, 1)
        for start in range(0, len(found), step):
            some = found[start : start + step]
            ids = {picture for pictures in some for picture, _ in pictures[:_FILES_AT_ONCE]}
            with self.times.timed("rows", len(some)):
                files = self._index.store.files_of(ids)
            for query, pictures in enumerate(some, start):
                yield from self._files(may, Ranked(pictures, query, files), options.top)

    def _scope(self, request: wire.Search) -> Scope:
        with self.times.timed("filter"):
            return scope(self._index.store, request, away=bool(self._roots.offline()))

    def _nearest(
        self, space: Space, request: wire.Search, may: Scope, meant: Sequence[Meant]
    ) -> list[Found]:
        """The pictures of each query, without its own."""
        store, resident = self._index.store, space.resident
        left_out = [[store.known(hash, space.model) for hash in each.own] for each in meant]
        own = [[id for id in ids if id is not None] for ids in left_out]
        asked = np.stack([each.vector for each in meant]), request.top, may.pictures, own
        with self.times.timed("rank", len(meant)):
            if request.exact:
                found = many_stored(store, space.model, *asked)
            else:
                for each in meant[:SAMPLES]:
                    self.selftest.saw(resident, each.vector)
                found = many(resident.snapshot(), *asked)
            return [self._cut(space, request, *each) for each in zip(meant, found, strict=True)]

    def _cut(self, space: Space, request: wire.Search, meant: Meant, found: Found) -> Found:
        least = self.least(space, request, meant)
        return [(picture, score) for picture, score in found if score >= least]

    def meant(self, space: Space, request: wire.Search) -> Meant | None:
        """What is asked for; None where anything is."""
        return Meaning(space).of(request.terms, request.timeout) if request.terms else None

    def least(self, space: Space, request: wire.Search, meant: Meant) -> float:
        """The score that a picture must have to be in the answer."""
        if request.auto:
            snapshot, sense = space.resident.snapshot(), space.texts.sense
            return cutoff.least(snapshot, meant.vector, sense, by_picture=bool(meant.own))
        return -math.inf if request.min_score is None else request.min_score

    def _by_words(self, request: wire.Search) -> Iterator[wire.Hit]:
        """The files that the words of the filter are found in, by how well they fit."""
        store = self._index.store
        filter = normal(request.filter)
        with self.times.timed("filter"):
            passed = store.passed(filter, offline=request.offline, ranked=True)
        assert passed.scores is not None
        best = np.lexsort((passed.files, -passed.scores))[: request.top]
        scores = dict(zip(passed.files[best].tolist(), passed.scores[best].tolist(), strict=True))
        found = [hit(shown, scores[id]) for id, shown in store.shown(scores).items()]
        return iter(sorted(found, key=lambda each: (-each.score, each.path)))

    def left_out(self) -> int:
        """How many files are left out of answers because their root is offline."""
        return self._index.store.counts().offline if self._roots.offline() else 0

    def _files(self, may: Scope, ranked: Ranked, left: int) -> Iterator[wire.Hit]:
        files = ranked.files
        for start in range(0, len(ranked.pictures), _FILES_AT_ONCE):
            some = ranked.pictures[start : start + _FILES_AT_ONCE]
            if start or files is None:
                with self.times.timed("rows"):
                    files = self._index.store.files_of([picture for picture, _ in some])
            found = [
                hit(shown, score, ranked.query)
                for picture, score in some
                for shown in files.get(picture, ())
                if may.holds(shown)
            ]
            found.sort(key=lambda each: (-each.score, each.path))
            yield from found[:left]
            left -= len(found)
            if left <= 0:
                return


def _queries(terms: Sequence[wire.BatchTerm]) -> list[list[wire.Term]]:
    """The terms of each query; none lacks one, up to the last."""
    queries: list[list[wire.Term]] = []
    for term in terms:
        if not len(queries) - 1 <= term.query <= len(queries):
            raise UsageError("the queries of a batch are not in their order")
        if term.query == len(queries):
            queries.append([])
        queries[-1].append(term)
    return queries
