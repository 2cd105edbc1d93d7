"""The daemon's parts, each given what it needs; `app` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from imgq.errors import CannotStart, Refused
from imgq.paths import Places
from imgqd.config import Settings
from imgqd.daemon import Daemon, Life
from imgqd.dupes import Dupes
from imgqd.embedder.embedder import Embedder
from imgqd.embedder.memory import Memory
from imgqd.embedder.pipeline import Common, Pipeline, Plant
from imgqd.embedder.tower import Configuration
from imgqd.exchange.changing import Bench, Changing
from imgqd.exchange.spaces import Space, Spaces
from imgqd.health.check import Checker
from imgqd.health.upkeep import Upkeep
from imgqd.index import Index
from imgqd.indexer import Indexer
from imgqd.library.dirty import Dirty
from imgqd.library.lookout import Lookout
from imgqd.library.roots import Roots
from imgqd.library.rules import Rules
from imgqd.library.walk import Library
from imgqd.manners.courtesy import Courtesy
from imgqd.models import card as cards
from imgqd.models import speeds
from imgqd.models.card import Card
from imgqd.noting import Noter
from imgqd.pictures.limits import Limits
from imgqd.reconcile.backlog import Backlog
from imgqd.reconcile.reconciler import Reconciler
from imgqd.search.care import Care
from imgqd.search.search import Searcher
from imgqd.search.texts import TextTower
from imgqd.store import Model, Store
from imgqd.thumbnails import Drawer, Thumbnails

# Weights may take an hour, and whoever ends the daemon or wants others waits no longer than that.
_LOOK_S = 0.2


def assembled(card: Card, index: Index, life: Life) -> Daemon:
    """Every part; nothing is started yet."""
    settings = life.settings
    dirty, backlog, roots = Dirty(), Backlog(), Roots(index)
    common = Common()

    def new_pipeline(card: Card, model: Model) -> Pipeline:
        return Pipeline(_plant(card, life), _memory(index.store, model, roots, settings), common)

    def new_space(card: Card, model: Model) -> Space:
        texts = TextTower(card, settings.precision == "f32", _engines(life))
        return Space(card, model, index, texts, new_pipeline)

    models = life.places.models
    spaces = Spaces(index, new_space(card, index.store.model), common, models)
    library = _library(roots, dirty, life)
    reconciler = Reconciler(library, index, backlog, spaces.submit)
    upkeep = Upkeep(index, library, reconciler)
    searcher = Searcher(index, roots)
    bench = Bench(
        new_space=new_space,
        backlog=backlog,
        dirty=dirty,
        models=models,
        idle_unload=settings.idle_unload,
        is_settled=lambda: reconciler.is_settled,
    )
    return Daemon(
        life=life,
        index=index,
        roots=roots,
        dirty=dirty,
        empties=library.empties,
        lookout=library.lookout,
        backlog=backlog,
        spaces=spaces,
        changing=Changing(index, spaces, bench),
        searcher=searcher,
        care=Care(index, searcher.selftest),
        indexer=Indexer(index, spaces, backlog, dirty),
        reconciler=reconciler,
        upkeep=upkeep,
        noter=Noter(index, spaces, reconciler),
        checker=Checker(library, backlog, reconciler, upkeep),
        thumbnails=Thumbnails(
            index.store, spaces.submit, Drawer(Path(life.places.data, "thumbnails"))
        ),
        courtesy=Courtesy(settings, os.path.join(life.places.data, "paused"), spaces),
        dupes=Dupes(index),
    )


def _library(roots: Roots, dirty: Dirty, life: Life) -> Library:
    settings = life.settings
    return Library(
        roots,
        Rules(settings.exclude, life.places.own, settings.raw_beside_jpeg),
        dirty,
        Lookout(dirty, os.fsencode(os.path.join(life.places.runtime, "lookout"))),
        settings.follow_symlinks,
        settings.rescan,
        settings.rescan_unwatched,
    )


class Choice:
    """Which model is in use at a start, and which is wanted: where they differ, the one that the index
    answered with goes on until the other can. Its weights need not be there for that."""

    used: Card
    wanted: Card | None

    def __init__(self, where: Places, name: str) -> None:
        self._where = where
        self._name = name

    def of(self, store: Store) -> Card:
        """Raises Refused where neither can be had."""
        self.wanted = cards.load(self._where.models, self._name)
        before = self._before(store)
        if before is None or (self.wanted and before.identity == self.wanted.identity):
            self.wanted = self.wanted or card_of(self._where, self._name)
            self.used = self.wanted
        else:
            self.used = before
        return self.used

    def _before(self, store: Store) -> Card | None:
        """The one that the index has vectors of, if it can be used."""
        held = next((held for held in store.models() if held.role == "used"), None)
        if held is None or not store.has_pictures():
            return None
        card = cards.load(self._where.models, held.model.name)
        return card if card and card.identity == held.model.identity else None


def card_of(where: Places, name: str, is_over: Callable[[], bool] = lambda: False) -> Card:
    """The card of the model to use; its weights are fetched by a process of their own, as long as they are
    wanted."""
    found = cards.load(where.models, name)
    if found is None:
        if code := _pulled(name, is_over):
            # It has said on stderr what is wrong.
            failure = Refused("")
            failure.exit_code = code
            raise failure
        found = cards.load(where.models, name)
    if found is None:
        raise CannotStart(
            f"the model {name} is not to be had", "`imgq model list` lists the models"
        )
    return found


def _pulled(name: str, is_over: Callable[[], bool]) -> int:
    """How the process ended that fetches what a model needs."""
    command = [sys.executable, "-P", "-m", "imgqd.models", "pull", name]
    with subprocess.Popen(command) as child:
        try:
            while not is_over():
                with suppress(subprocess.TimeoutExpired):
                    return child.wait(_LOOK_S)
        finally:
            child.kill()
    return child.returncode


def _engines(life: Life) -> str:
    """Where it is remembered which engine is the fastest."""
    return os.path.join(life.places.models, "engines")


def _plant(card: Card, life: Life) -> Plant:
    settings = life.settings
    configuration = Configuration(
        card,
        device=settings.device,
        precision=settings.precision,
        # One pass while another is recorded.
        batch=2 * settings.batch_size or None,
        engines=_engines(life),
    )
    limits = Limits(
        max_megapixels=settings.max_megapixels,
        max_megapixels_jpeg=settings.max_megapixels_jpeg,
        max_bytes=settings.max_megabytes * 1_000_000,
    )
    return Plant(
        pixels=card.pixels,
        limits=limits,
        decoders=settings.decoders,
        idle_unload=settings.idle_unload,
        new_embedder=lambda: Embedder(configuration),
        tell_speed=lambda rate: speeds.note(life.places.models, card.identity, rate),
    )


def _memory(store: Store, model: Model, roots: Roots, settings: Settings) -> Memory:
    def vector(hash: bytes) -> np.ndarray | None:
        known = store.known(hash, model)
        return None if known is None else store.vectors([known], model).get(known)

    return Memory(
        is_known=lambda hash: store.known(hash, model) is not None,
        vector=vector,
        failure=lambda hash: store.failed_hash(hash, model),
        follow_symlinks=settings.follow_symlinks,
        is_remote=roots.is_remote,
        is_silent=roots.is_away,
        leads_elsewhere=roots.leads_elsewhere,
    )
