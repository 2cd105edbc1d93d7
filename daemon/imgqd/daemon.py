"""The daemon's parts, and what they look like from outside."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from imgq import __version__, wire
from imgq.paths import Places
from imgqd.config import Settings
from imgqd.dupes import Dupes
from imgqd.embedder.pipeline import Pipeline
from imgqd.exchange.changing import Changing
from imgqd.exchange.spaces import Spaces
from imgqd.health import usage
from imgqd.health.check import Checker
from imgqd.health.troubles import troubles
from imgqd.health.upkeep import Upkeep
from imgqd.index import Index
from imgqd.indexer import Indexer
from imgqd.library.dirty import Dirty
from imgqd.library.empties import Empties
from imgqd.library.lookout import Lookout
from imgqd.library.roots import Roots
from imgqd.manners.courtesy import Courtesy
from imgqd.models.card import Card
from imgqd.noting import Noter
from imgqd.orders import Orders
from imgqd.reconcile.backlog import Backlog
from imgqd.reconcile.reconciler import Reconciler
from imgqd.search import cache
from imgqd.search.care import Care
from imgqd.search.search import Searcher
from imgqd.serve.gate import Gate
from imgqd.thumbnails import Thumbnails

if TYPE_CHECKING:
    from imgqd.in_force import InForce


@dataclass(frozen=True, slots=True)
class Life:
    """What one run of the daemon was begun with; lock: the descriptor that holds its lock; gate: the way
    in from a network."""

    in_force: InForce
    places: Places
    orders: Orders
    lock: int
    gate: Gate
    began: float = field(default_factory=time.monotonic)

    @property
    def settings(self) -> Settings:
        return self.in_force.settings


@dataclass(frozen=True, slots=True)
class Daemon:
    """Everything that is alive in the daemon; `parts` puts it together."""

    life: Life
    index: Index
    roots: Roots
    dirty: Dirty
    empties: Empties
    lookout: Lookout
    backlog: Backlog
    spaces: Spaces
    changing: Changing
    searcher: Searcher
    care: Care
    indexer: Indexer
    reconciler: Reconciler
    upkeep: Upkeep
    noter: Noter
    checker: Checker
    thumbnails: Thumbnails
    courtesy: Courtesy
    dupes: Dupes

    @property
    def card(self) -> Card:
        """Of the model in use."""
        return self.spaces.used.card

    @property
    def pipeline(self) -> Pipeline:
        return self.spaces.used.pipeline

    @property
    def is_settled(self) -> bool:
        return self.reconciler.is_settled and not self.index.store.damage.is_set()

    def freshness(self) -> wire.Freshness:
        backlog, settled = self.backlog, self.is_settled
        counts = self.index.counts() if settled else self.index.recent_counts()
        return wire.Freshness(
            files=max(counts.files - backlog.counted("indexed"), 0),
            pending=backlog.pending,
            failed=max(counts.failed - backlog.counted("failed"), 0),
            settled=settled,
        )

    def status(self) -> wire.Status:
        counters = self.backlog.tally
        counters.restarts = self.spaces.restarts + self.lookout.replaced
        settled = self.is_settled
        return wire.Status(
            version=__version__,
            pid=os.getpid(),
            processes=self.processes(),
            uptime_s=round(time.monotonic() - self.life.began, 1),
            state=self._state(settled),
            settled=settled,
            model=self._model(),
            index=self._index(),
            roots=self.shown_roots(),
            rates=wire.Rates(pictures_per_s=round(self.spaces.rate, 1)),
            counters=counters.shown(),
            degraded=tuple(islice(troubles(self), wire.MOST_TROUBLES)),
            waiting=self.courtesy.reason,
            memory_bytes=usage.memory(self.processes()),
            change=self.changing.told(),
            models=self.spaces.told(),
        )

    def _state(self, settled: bool) -> str:
        if not self.reconciler.has_scanned:
            return "starting"
        if self.courtesy.reason is not None:
            return "paused"
        return "idle" if settled and self.spaces.coming is None else "indexing"

    def processes(self) -> tuple[wire.Process, ...]:
        pipelines = self.spaces.pipelines()
        children = [("embedder", each.batches.pid) for each in pipelines]
        children += [("decoder", lane.pid) for each in pipelines for lane in each.lanes]
        alive = [wire.Process(role=role, pid=pid) for role, pid in children if pid is not None]
        return (wire.Process(role="daemon", pid=os.getpid()), *alive)

    def shown_roots(self) -> tuple[wire.Root, ...]:
        """The folders that a person gave, each with what is mounted in it."""
        roots, tallies = self.roots, self.index.root_counts()
        return tuple(
            wire.Root(
                path=path,
                state=roots.state(path),
                files=sum(tallies[part].files for part in roots.parts(path) if part in tallies),
            )
            for path in roots.named()
        )

    def _index(self) -> wire.IndexState:
        counts = self.index.counts()
        fresh = self.freshness()
        return wire.IndexState(
            files=fresh.files,
            pictures=counts.pictures,
            pending=fresh.pending,
            failed=fresh.failed,
            offline=counts.offline,
            ignored=max(counts.ignored - self.backlog.counted("ignored"), 0) + self.empties.total,
            bytes=self.index.store.size() + cache.size(self.index.store),
        )

    def _model(self) -> wire.ModelState:
        used = self.spaces.used
        batches, state = used.pipeline.batches, used.texts.state
        ready = batches.ready
        if state == "ready":
            state = batches.state
        return wire.ModelState(
            name=used.card.name,
            dim=used.card.dim,
            device=ready.device if ready else None,
            precision=ready.precision if ready else None,
            engine=ready.engine if ready else None,
            state=state,
        )
