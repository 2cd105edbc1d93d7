"""imgqd from its start to its end: the page to read first.

It starts in order: the lock, the model's card, the store, the vectors, the socket; then what takes longer
and is not waited for: the text tower, the decoders and their embedder, the indexer, the watcher with its
first scan. It stops in reverse.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np

from imgq.errors import CannotStart, Failure, Refused, StoreDamaged
from imgq.paths import Places, places
from imgqd import answers, config, journal
from imgqd.backlog import Backlog
from imgqd.config import Settings
from imgqd.daemon import Daemon
from imgqd.embedder.embedder import Embedder, EmbedderOptions
from imgqd.embedder.lane import Memory
from imgqd.embedder.pipeline import Pipeline, Plant
from imgqd.index import Index
from imgqd.indexer import Indexer
from imgqd.library.dirty import Dirty
from imgqd.library.roots import Roots
from imgqd.library.rules import Rules
from imgqd.library.walk import Library
from imgqd.models import card
from imgqd.models.card import Card
from imgqd.notify import notify, watchdog_interval
from imgqd.pictures.limits import Limits
from imgqd.reconciler import Reconciler
from imgqd.search.resident import Resident
from imgqd.search.search import Searcher
from imgqd.search.texts import TextTower
from imgqd.serve import door
from imgqd.serve.server import Server
from imgqd.store import Store, set_aside

log = logging.getLogger(__name__)


def run(model: str | None, ready: int | None) -> int:
    """Runs until a signal or `imgq stop`; the exit code. `ready` is a descriptor that is told, in one
    line, that the daemon answers, or why it cannot."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    # Who closes a terminal does not mean the daemon.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _log_to(places())
        with ExitStack() as stack:
            daemon = _started(stack, model, ending)
            _tell(ready, None)
            notify("READY=1\nSTATUS=answering")
            log.info("imgqd answers, with the model %s", daemon.card.name)
            _wait(daemon)
            notify("STOPPING=1")
    except Failure as failure:
        _tell(ready, failure)
        notify(f"STATUS={failure.message}")
        if failure.message:
            sys.stderr.write(f"imgqd: {failure}\n")
        return failure.exit_code
    log.info("imgqd ended")
    return 0


def _log_to(where: Places) -> None:
    try:
        journal.open_log(where)
    except OSError as error:
        raise CannotStart(f"cannot use {error.filename}: {error.strerror}") from error


def _started(stack: ExitStack, model: str | None, ending: threading.Event) -> Daemon:
    try:
        return start(stack, model, ending)
    except OSError as error:
        raise CannotStart(f"cannot use {error.filename}: {error.strerror}") from error


def start(stack: ExitStack, model: str | None, ending: threading.Event) -> Daemon:
    """Starts every part in order; the stack stops them in reverse."""
    where = places()
    settings = config.load(where.settings)
    # Never let go of: who finds it free may be sure that this process is gone.
    door.lock(where.lock)
    used = _card(where, settings, model)
    index = Index(*_store(stack, where, used))
    daemon = _assembled(used, index, settings, where, ending)

    server = Server(where.socket, lambda request: answers.answer(daemon, request))
    server.start()
    stack.callback(server.stop)

    daemon.texts.start()
    daemon.pipeline.start()
    stack.callback(daemon.pipeline.stop)
    daemon.indexer.start()
    stack.callback(daemon.indexer.stop)
    daemon.reconciler.start()
    stack.callback(daemon.reconciler.stop)
    return daemon


def _assembled(
    used: Card, index: Index, settings: Settings, where: Places, ending: threading.Event
) -> Daemon:
    """The parts, each given what it needs; nothing is started yet."""
    dirty, backlog, roots, texts = Dirty(), Backlog(), Roots(index), TextTower(used)
    pipeline = Pipeline(_plant(used, settings), _memory(index.store, settings))
    rules = Rules(settings.exclude, where.own)
    library = Library(
        roots, rules, dirty, settings.follow_symlinks, settings.rescan, settings.rescan_unwatched
    )
    return Daemon(
        card=used,
        index=index,
        roots=roots,
        dirty=dirty,
        backlog=backlog,
        pipeline=pipeline,
        texts=texts,
        searcher=Searcher(index, roots, texts, pipeline),
        indexer=Indexer(index, pipeline, backlog, dirty),
        reconciler=Reconciler(library, index, backlog, pipeline.submit),
        ending=ending,
    )


def _card(where: Places, settings: Settings, model: str | None) -> Card:
    """The card of the model to use; its weights are fetched by a process of their own."""
    name = model or settings.model
    found = card.load(where.models, name)
    if found is None:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "imgqd.models", "pull", name], check=False
        )
        if child.returncode:
            # It has said on stderr what is wrong.
            failure = Refused("")
            failure.exit_code = child.returncode
            raise failure
        found = card.load(where.models, name)
    if found is None:
        raise CannotStart(
            f"the model {name} is not to be had", "`imgq model list` lists the models"
        )
    if model is not None:
        config.remember(where.settings, "model", model)
    return found


def _store(stack: ExitStack, where: Places, used: Card) -> tuple[Store, Resident, Path | None]:
    """The store and its vectors in memory. A store that is not sound is moved aside, and a new one filled
    from the disk."""
    path = Path(where.store)
    decoder = f"pillow {version('pillow')}, pillow-heif {version('pillow-heif')}"
    aside: Path | None = None
    try:
        store = Store.open(path, decoder)
    except StoreDamaged as error:
        aside = set_aside(path)
        log.error("%s; it is kept as %s, and a new index is made", error.message, aside)
        store = Store.open(path, decoder)
    stack.callback(store.close)
    store.use_model(used.identity, used.name, used.dim)
    resident = Resident(used.dim)
    damaged: list[int] = []
    for block in store.resident():
        resident.add(block.ids, block.vectors)
        damaged += block.damaged
    store.forget_embeddings(damaged)
    return store, resident, aside


def _plant(used: Card, settings: Settings) -> Plant:
    options = EmbedderOptions(
        device=settings.device, precision=settings.precision, batch=settings.batch_size or None
    )
    limits = Limits(
        max_megapixels=settings.max_megapixels,
        max_megapixels_jpeg=settings.max_megapixels_jpeg,
        max_bytes=settings.max_megabytes * 1_000_000,
    )
    return Plant(
        pixels=used.pixels,
        limits=limits,
        decoders=settings.decoders,
        idle_unload=settings.idle_unload,
        new_embedder=lambda: Embedder(used, options),
    )


def _memory(store: Store, settings: Settings) -> Memory:
    def vector(hash: bytes) -> np.ndarray | None:
        known = store.known(hash)
        return None if known is None else store.vectors([known]).get(known)

    return Memory(
        is_known=lambda hash: store.known(hash) is not None,
        vector=vector,
        failure=store.failed_hash,
        follow_symlinks=settings.follow_symlinks,
    )


def _wait(daemon: Daemon) -> None:
    """Until the end; on the way, signs of life for who asked for them."""
    interval = watchdog_interval()
    while not daemon.ending.wait(interval):
        if daemon.is_well():
            notify("WATCHDOG=1")


def _tell(ready: int | None, failure: Failure | None) -> None:
    if ready is None:
        return
    said = {
        "exit_code": failure.exit_code if failure else 0,
        "message": failure.message if failure else "",
        "hint": failure.hint if failure else "",
    }
    with open(ready, "w", closefd=True) as pipe:
        json.dump(said, pipe)
