"""What works less well than it should, each with what to do: `degraded` of `imgq status`."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgq import wire
from imgq.errors import StoreDamaged, StoreError, StoreFull
from imgq.paths import host_and_port
from imgqd.library import reach

if TYPE_CHECKING:
    from imgqd.daemon import Daemon
    from imgqd.store.records import Renewed

# So many folders of one trouble are named.
MOST_NAMED = 20
LONGEST_NAMED = 1000  # characters


def troubles(daemon: Daemon) -> Iterator[wire.Trouble]:
    yield from _of_the_settings(daemon)
    yield from _of_the_index(daemon)
    yield from _of_the_model(daemon)
    yield from _of_the_decoders(daemon)
    yield from _of_the_folders(daemon)
    yield from _of_the_gate(daemon)


def _of_the_settings(daemon: Daemon) -> Iterator[wire.Trouble]:
    if (trouble := daemon.life.in_force.trouble) is not None:
        yield wire.Trouble(
            code="settings",
            path=os.fsencode(daemon.life.places.settings),
            message=f"the settings cannot be used, and those before stay in force: {trouble.message}",
            remedy=f"{trouble.hint}; then `imgq restart`".removeprefix("; then "),
        )
    if (unwritten := daemon.life.in_force.unwritten) is not None:
        wanted = daemon.changing.wanted
        yield wire.Trouble(
            code="unwritten",
            path=os.fsencode(daemon.life.places.settings),
            message=f"the model {wanted} is not remembered, and the next start changes back and embeds"
            f" all pictures again: {unwritten.message}",
            remedy=f"{unwritten.hint}; then `imgq model use {wanted}`",
        )


def _of_the_index(daemon: Daemon) -> Iterator[wire.Trouble]:
    if daemon.index.renewed is not None:
        yield _rebuilt(daemon.index.renewed)
    error = daemon.upkeep.trouble or daemon.indexer.trouble or daemon.reconciler.trouble
    if error is not None:
        yield _unwell(error)


def _rebuilt(renewed: Renewed) -> wire.Trouble:
    kept = f"it is kept as {renewed.aside}" if renewed.aside else "nothing of it was left"
    return wire.Trouble(
        code="rebuilt",
        path=os.fsencode(renewed.aside) if renewed.aside else None,
        message=f"the index was damaged and is made anew, with {renewed.roots} folders and"
        f" {renewed.pictures} pictures of the old one; {kept}",
        remedy="nothing is to be done; a damaged file may mean a failing disk",
    )


def _unwell(error: StoreError) -> wire.Trouble:
    codes = {StoreFull: "disk_full", StoreDamaged: "damaged"}
    return wire.Trouble(
        code=codes.get(type(error), "store"),
        message=f"{error.message}; searching goes on with what is known",
        remedy=f"{error.hint}; it is tried again by itself".removeprefix("; "),
    )


def _of_the_model(daemon: Daemon) -> Iterator[wire.Trouble]:
    if (trouble := daemon.spaces.used.texts.trouble) is not None:
        yield wire.Trouble(
            code="text_tower",
            message=trouble.message,
            remedy=f"{trouble.hint}; queries by picture go on",
        )
    if daemon.changing.trouble:
        yield wire.Trouble(
            code="model_change",
            message=f"the change of the model does not go on: {daemon.changing.trouble}; the index of "
            f"{daemon.card.name} answers",
            remedy=f"it is tried again; `imgq model use {daemon.card.name}` ends it",
        )
    if daemon.pipeline.batches.trouble:
        yield wire.Trouble(
            code="embedder",
            message=f"pictures cannot be embedded: {daemon.pipeline.batches.trouble}",
            remedy="it is tried again; `imgq logs` tells more",
        )
    ready = daemon.pipeline.batches.ready
    if ready is not None and ready.trouble:
        yield wire.Trouble(
            code="engine",
            message=f"pictures are embedded more slowly than they could be: {ready.trouble}",
            remedy="`imgq logs` tells more; what did not end is measured again by itself, what failed when"
            " torch or onnxruntime is updated",
        )


def _of_the_decoders(daemon: Daemon) -> Iterator[wire.Trouble]:
    """Where Landlock alone is missing, seccomp holds all that it would."""
    if daemon.pipeline.trouble:
        yield wire.Trouble(
            code="decoders",
            message=f"pictures cannot be decoded: {daemon.pipeline.trouble}",
            remedy="it is tried again; `imgq logs` tells more",
        )
    missing = daemon.pipeline.missing
    if any(each.startswith("seccomp") for each in missing):
        yield wire.Trouble(
            code="sandbox",
            message=f"this kernel has no {' and no '.join(missing)}: a picture made to take its decoder"
            " over would find your files",
            remedy="use a kernel with seccomp and Landlock (5.13), and let a container have both",
        )


def _of_the_gate(daemon: Daemon) -> Iterator[wire.Trouble]:
    gate = daemon.life.gate
    if gate.trouble:
        yield wire.Trouble(
            code="listen",
            message=f"nobody is listened to on {gate.listen}: {gate.trouble}",
            remedy=_for_deaf(gate.listen, gate.trouble),
        )


def _for_deaf(listen: str, trouble: str) -> str:
    host, port = host_and_port(listen)
    host = f"[{host}]" if ":" in host else host
    if trouble == os.strerror(errno.EADDRINUSE):
        port, why = port + 1 if port < 65535 else port - 1, "it is tried again by itself"
    elif trouble == os.strerror(errno.EADDRNOTAVAIL):
        host, why = "0.0.0.0", "this machine has no such address"
    else:
        return "it is tried again by itself; `imgq logs` tells more"
    return f"{why}; `imgq config set listen tcp://{host}:{port}` has it listen elsewhere"


def _of_the_folders(daemon: Daemon) -> Iterator[wire.Trouble]:
    yield from daemon.lookout.outlook().troubles()
    for path in sorted(daemon.reconciler.denied())[:MOST_NAMED]:
        yield wire.Trouble(
            code="denied",
            path=path,
            message=f"{in_words(path)} {_why_denied(path)}; what was known in it is kept",
            remedy=_for_denied(path),
        )
    for path in daemon.roots.offline():
        reason = daemon.roots.reason(path)
        yield wire.Trouble(
            code="offline",
            path=path,
            message=f"{in_words(path)} is offline: {reason}; its pictures are kept",
            remedy=_for_absent(path, reason),
        )


def _for_denied(path: bytes) -> str:
    if len(path) > reach.LONGEST_FOLDER:
        return "leave it out with `exclude`, or give folders shorter names"
    return (
        f"let yourself read it, as by `chmod u+rx {_quoted(path)}`, or leave it out with `exclude`"
    )


def _for_absent(path: bytes, reason: str) -> str:
    """What ends it for good depends on whether anything is there."""
    if reason == os.strerror(errno.EACCES):
        return f"let yourself read it, as by `chmod u+rx {_quoted(path)}`, or `imgq remove {_quoted(path)}`"
    if reason == os.strerror(errno.ENOENT):
        return f"connect it again; where it is gone for good, `imgq remove {_quoted(path)}`"
    return f"connect it again; where it is meant to be so, `imgq check --repair {_quoted(path)}`"


def _quoted(path: bytes) -> str:
    """As a shell reads it, unless it is too long to tell."""
    words = os.fsdecode(path)
    return shlex.quote(words) if len(words) <= LONGEST_NAMED else "DIR"


def _why_denied(path: bytes) -> str:
    if len(path) > reach.LONGEST_FOLDER:
        return "lies so deep that its path is too long"
    return "may not be read"


def in_words(path: bytes) -> str:
    """A path as a part of a sentence, which must not be too long to leave."""
    words = os.fsdecode(path)
    return words if len(words) <= LONGEST_NAMED else f"…{words[-LONGEST_NAMED:]}"
