"""Pictures told as they arrive: what came since, match by match, and nothing twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imgq import wire
from imgqd.search.filters import passing
from imgqd.search.rank import scores_of
from imgqd.serve.job import Later
from imgqd.serve.parking import BEAT_S
from imgqd.shown import arrival

if TYPE_CHECKING:
    from imgqd.exchange.spaces import Space, Spaces
    from imgqd.index import Index
    from imgqd.search.meaning import Meant
    from imgqd.search.search import Searcher
    from imgqd.store import Arrived

# Rows that are looked at together; all that they show fits into a reply.
_AT_ONCE = 500


class Follower:
    """Tells one client; used by one thread at a time."""

    def __init__(
        self, index: Index, spaces: Spaces, searcher: Searcher, request: wire.Follow
    ) -> None:
        self._index = index
        self._spaces = spaces
        self._searcher = searcher
        self._request = request.search
        with spaces.asked() as space:
            self._meant = searcher.meant(space, request.search)
            self._model = space.model
        self._origin = request.origin or index.store.origin
        self._last = index.arrived if request.after is None else request.after

    def replies(self) -> Iterator[wire.Reply | Later]:
        """Without an end; the first at once, that the client knows from where on it is told."""
        yield self._told([], self._has_gap())
        latest = time.monotonic()
        while True:
            gap, arrivals = self._has_gap(), self._arrivals()
            if gap or arrivals or time.monotonic() > latest + BEAT_S / 2:
                yield self._told(arrivals, gap)
                latest = time.monotonic()
            else:
                yield Later.LATER

    def _told(self, arrivals: list[wire.Arrival], gap: bool) -> wire.Arrivals:
        return wire.Arrivals(
            origin=self._origin, last=self._last, gap=gap, arrivals=tuple(arrivals)
        )

    def _has_gap(self) -> bool:
        """Whether the index is not the one that was told of: what arrived in between, nobody knows."""
        origin, last = self._index.store.origin, self._index.arrived
        if origin == self._origin and self._last <= last:
            return False
        self._origin, self._last = origin, last
        return True

    def _arrivals(self) -> list[wire.Arrival]:
        """The next that match, if there are any."""
        last, matching = self._index.arrived, list[wire.Arrival]()
        while self._last < last and not matching:
            page = self._index.store.arrivals(self._last, last, _AT_ONCE)
            self._last = page[-1].seq if len(page) == _AT_ONCE else last
            matching = self._matching(page)
        return matching

    def _matching(self, page: list[Arrived]) -> list[wire.Arrival]:
        """Those of a page that are looked for, in their order."""
        files = (each.shown.file for each in page)
        holds = passing(self._index.store, self._request, files)
        page = [each for each in page if holds(each.shown)]
        if self._meant is None:
            return [arrival(each, None) for each in page]
        with self._spaces.asked() as space:
            return self._scored(space, self._meant_in(space), page)

    def _meant_in(self, space: Space) -> Meant:
        """What is asked for, by the model that is in use by now."""
        if space.model != self._model:
            self._meant = self._searcher.meant(space, self._request)
            self._model = space.model
        assert self._meant is not None
        return self._meant

    def _scored(self, space: Space, meant: Meant, page: list[Arrived]) -> list[wire.Arrival]:
        page = [each for each in page if each.shown.picture.hash not in meant.own]
        vectors = self._index.store.vectors((each.shown.picture.id for each in page), space.model)
        # What was taken away again meanwhile has none.
        page = [each for each in page if each.shown.picture.id in vectors]
        if not page:
            return []
        scores = scores_of(
            np.stack([vectors[each.shown.picture.id] for each in page]), meant.vector
        )
        least = self._searcher.least(space, self._request, meant)
        return [
            arrival(each, score)
            for each, score in zip(page, scores.tolist(), strict=True)
            if score >= least
        ]
