"""The dispatch: what the daemon answers to each request, a table to read aloud."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from imgq import wire
from imgq.errors import Refused, StoreDamaged, UsageError
from imgqd import shown
from imgqd.health.stats import stats
from imgqd.library import reach
from imgqd.library.admission import require_foreign, require_watched
from imgqd.library.compare import is_nothing
from imgqd.pieces import in_pieces, rows
from imgqd.records import is_regular
from imgqd.search.following import Follower
from imgqd.serve.job import Later
from imgqd.settings_file import remember_model, require_sound

if TYPE_CHECKING:
    from imgqd.daemon import Daemon
    from imgqd.exchange.spaces import Space

# A damaged index is made anew within this time, if it can be.
MENDED_S = 20.0
# Weights that another model needs may have to be fetched first: nobody who sets it waits for that, but for
# a hub that does not answer.
RELOADED_S = 13.0


def answer(daemon: Daemon, request: wire.Request) -> Iterator[wire.Reply | Later]:
    """The replies to a request, made one by one as they are taken. Where the index turns out to be
    damaged, they are those of the one that is made in its place."""
    try:
        replies = _answer(daemon, request)
        first = next(replies)
    except StoreDamaged:
        if not daemon.upkeep.is_mended_within(MENDED_S):
            raise
        replies = _answer(daemon, request)
        first = next(replies)
    yield first
    yield from replies


def _answer(daemon: Daemon, request: wire.Request) -> Iterator[wire.Reply | Later]:
    if daemon.life.orders.is_ending and not isinstance(request, wire.Stop):
        raise Refused("the daemon is ending", "`imgq start` starts it again")
    match request:
        case wire.Search():
            return _search(daemon, request, lambda space: daemon.searcher.hits(space, request))
        case wire.Batch(options=options):
            return _search(daemon, options, lambda space: daemon.searcher.batch(space, request))
        case wire.Follow():
            return Follower(daemon.index, daemon.spaces, daemon.searcher, request).replies()
        case wire.AskStatus():
            return iter([daemon.status()])
        case wire.AskStats():
            return iter([stats(daemon)])
        case wire.AskRoots():
            return iter([_roots(daemon)])
        case wire.AskNames(of=of):
            names = daemon.index.store.names(of)
            return iter([wire.Names(names=tuple(names[: wire.MOST_NAMES]))])
        case wire.AskErrors():
            return _errors(daemon)
        case wire.Dupes():
            return _dupes(daemon, request)
        case wire.AskInfo(path=path):
            return iter([_info(daemon, path)])
        case wire.AskFiles():
            return _files(daemon)
        case wire.Export():
            return _export(daemon)
        case wire.AskThumbnails(paths=()):
            raise UsageError("thumbnails of nothing were asked for", "name a path")
        case wire.AskThumbnails(paths=paths, longest=longest, form=form):
            drawn = daemon.thumbnails.drawn(paths, longest, form)
            return (wire.Thumbnail(picture=picture) for picture in drawn)
        case _:
            return _done(daemon, request)


def _done(daemon: Daemon, request: wire.Request) -> Iterator[wire.Reply | Later]:
    """What it is to do, or to wait for."""
    match request:
        case wire.Add(paths=paths):
            return _add(daemon, paths)
        case wire.Remove(paths=paths):
            return _remove(daemon, paths)
        case wire.Settle(timeout=timeout):
            return _settle(daemon, timeout)
        case wire.Check(paths=paths, repair=repair):
            return _check(daemon, [os.path.normpath(path) for path in paths], repair)
        case wire.Retry():
            return _taken(daemon, daemon.index.store.retry(None))
        case wire.Reindex(paths=paths):
            return _reindex(daemon, [os.path.normpath(path) for path in paths])
        case wire.Pause(seconds=seconds):
            return _pause(daemon, seconds)
        case wire.Resume():
            return _resume(daemon)
        case wire.UseModel(name=name, keep=keep):
            return _use_model(daemon, name, keep)
        case wire.DropModel(name=name):
            return _drop_model(daemon, name)
        case wire.Reload():
            return _reload(daemon)
        case wire.ReadKeys():
            return _read_keys(daemon)
        case wire.Stop():
            return _stop(daemon)
        case _:
            raise UsageError(f"this daemon has no answer to {type(request).__name__}")


def _search(
    daemon: Daemon, request: wire.Search, hits: Callable[[Space], Iterator[wire.Hit]]
) -> Iterator[wire.Reply]:
    began = time.perf_counter()
    require_watched(map(os.path.normpath, request.filter.within), daemon.roots.paths())
    with daemon.spaces.asked(request.model) as space:
        pieces = in_pieces(hits(space), wire.HITS_A_REPLY)
    first = next(pieces)
    left_out = 0 if request.offline else daemon.searcher.left_out()
    seconds = time.perf_counter() - began
    daemon.searcher.times.add("total", seconds)
    head: dict[str, Any] = {
        "model": space.card.name,
        "took_ms": seconds * 1e3,
        "index": daemon.freshness(),
        "left_out": left_out,
        "offline_roots": tuple(daemon.roots.offline()[: wire.MOST_OFFLINE]) if left_out else (),
    }
    for piece in chain([first], pieces):
        yield wire.Hits(hits=piece, **head)


def _add(daemon: Daemon, paths: tuple[bytes, ...]) -> Iterator[wire.Reply]:
    for path in paths:
        if not os.path.isabs(path):
            raise UsageError(f"{os.fsdecode(path)!r} is not an absolute path")
        require_foreign(path, daemon.life.places.own)
        daemon.roots.add(os.path.normpath(path))
        daemon.dirty.mark_deep(os.path.normpath(path))
    daemon.dirty.hurry()
    yield _roots(daemon)


def _remove(daemon: Daemon, paths: tuple[bytes, ...]) -> Iterator[wire.Reply]:
    for path in paths:
        daemon.roots.remove(os.path.normpath(path))
        daemon.reconciler.forget(os.path.normpath(path))
    yield _roots(daemon)


def _roots(daemon: Daemon) -> wire.Roots:
    return wire.Roots(roots=daemon.shown_roots())


def _settle(daemon: Daemon, timeout: float) -> Iterator[wire.Reply]:
    settled = _settles(daemon, timeout)
    waiting = daemon.courtesy.reason
    yield wire.Settled(settled=settled, pending=daemon.backlog.pending, waiting=waiting)


def _settles(daemon: Daemon, timeout: float) -> bool:
    """While indexing waits for longer, what is pending stays so: what can be noticed is, and nothing waited
    for."""
    if daemon.courtesy.wait_s() <= timeout:
        return daemon.reconciler.settle(timeout)
    return daemon.reconciler.look(timeout) and daemon.is_settled


def _check(daemon: Daemon, paths: list[bytes], repair: bool) -> Iterator[wire.Reply]:
    require_watched(paths, daemon.roots.paths())
    found = daemon.checker.repair(paths) if repair else daemon.checker.check(paths)
    head: dict[str, Any] = {
        "files": found.looked.files,
        "folders": found.looked.folders,
        "pictures": found.pictures,
        "skipped": tuple(found.looked.skipped[: shown.MOST_SKIPPED]),
    }
    for piece in in_pieces(map(shown.finding, found.findings)):
        yield wire.Checked(findings=piece, **head)


def _taken(daemon: Daemon, files: int) -> Iterator[wire.Reply]:
    daemon.dirty.mark_everything()
    daemon.dirty.hurry()
    yield wire.Taken(files=files)


def _reindex(daemon: Daemon, paths: list[bytes]) -> Iterator[wire.Reply]:
    require_watched(paths, daemon.roots.paths())
    return _taken(daemon, daemon.index.store.reindex(paths or None))


def _info(daemon: Daemon, path: bytes) -> wire.Info:
    known = daemon.index.store.info(path)
    state = known.row.state if known else "ignored" if _is_empty(daemon, path) else "unknown"
    if daemon.backlog.is_under_way(path):
        state = "pending"
    return wire.Info(state=state, model=daemon.card.name, **(shown.info(known) if known else {}))


def _is_empty(daemon: Daemon, path: bytes) -> bool:
    """Whether it is one of the files that have no row."""
    folder, name = os.path.split(path)
    if not daemon.empties.holds(folder) or daemon.roots.is_remote(path):
        return False
    try:
        status = reach.status(path)
    except OSError:
        return False
    return is_regular(status) and is_nothing(name, status)


def _errors(daemon: Daemon) -> Iterator[wire.Reply]:
    found = map(shown.file_error, rows(daemon.index.store.errors))
    return (wire.Errors(errors=piece) for piece in in_pieces(found))


def _dupes(daemon: Daemon, request: wire.Dupes) -> Iterator[wire.Reply]:
    within = [os.path.normpath(path) for path in request.within]
    require_watched(within, daemon.roots.paths())
    found = daemon.dupes.groups(within, request.near)
    rows = chain.from_iterable(shown.duplicates(*each) for each in enumerate(found))
    return (wire.Duplicates(files=piece) for piece in in_pieces(rows, wire.HITS_A_REPLY))


def _files(daemon: Daemon) -> Iterator[wire.Reply]:
    found = map(shown.known_file, rows(daemon.index.store.lines))
    return (wire.Files(files=piece) for piece in in_pieces(found))


def _export(daemon: Daemon) -> Iterator[wire.Reply]:
    """By one model to the end, whatever comes into use meanwhile: what somebody asks is not forgotten."""
    with daemon.spaces.asked() as space:
        listing = partial(daemon.index.store.export, model=space.model)
        for piece in in_pieces(map(shown.vector, rows(listing))):
            yield wire.Vectors(vectors=piece)


def _pause(daemon: Daemon, seconds: float | None) -> Iterator[wire.Reply]:
    daemon.courtesy.pause(seconds)
    yield wire.Noted()


def _resume(daemon: Daemon) -> Iterator[wire.Reply]:
    daemon.courtesy.resume()
    yield wire.Noted()


def _use_model(daemon: Daemon, name: str, keep: bool) -> Iterator[wire.Reply]:
    # Whoever mends them later would have the model that they name.
    require_sound(daemon.life.places.settings)
    daemon.changing.use(name, keep=keep)
    daemon.life.in_force.unwritten = remember_model(daemon.life.places, name)
    yield wire.Noted()


def _drop_model(daemon: Daemon, name: str) -> Iterator[wire.Reply]:
    """One that is coming is wanted no longer."""
    require_sound(daemon.life.places.settings)
    wanted = daemon.changing.wanted
    daemon.changing.drop(name)
    if daemon.changing.wanted != wanted:
        daemon.life.in_force.unwritten = remember_model(daemon.life.places, daemon.card.name)
    yield wire.Noted()


def _reload(daemon: Daemon) -> Iterator[wire.Reply]:
    """A daemon that starts anew for that hangs up, and who asks once more is answered by the new one."""
    daemon.life.orders.reload().wait(RELOADED_S)
    yield wire.Noted()


def _read_keys(daemon: Daemon) -> Iterator[wire.Reply]:
    daemon.life.gate.read_again()
    yield wire.Noted()


def _stop(daemon: Daemon) -> Iterator[wire.Reply]:
    yield wire.Stopping(processes=daemon.processes())
    daemon.life.orders.end()
