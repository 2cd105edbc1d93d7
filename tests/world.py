"""A library under watch, and its index: real folders, real events, a real store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from imgqd.embedder.jobs import Job, Urgency
from imgqd.index import Index
from imgqd.library.dirty import Dirty
from imgqd.library.lookout import Lookout
from imgqd.library.roots import Roots
from imgqd.library.rules import Rules
from imgqd.library.walk import Library
from imgqd.reconcile.backlog import Backlog
from imgqd.reconcile.reconciler import Reconciler
from imgqd.records import Indexed, Metadata, Stamp
from imgqd.search.resident import Resident
from imgqd.store import Store

PATIENCE_S = 60.0
PHOTO = Metadata("JPEG", 40, 30)
LONG_AGO = (10**9, 10**9)


class World:
    """A library under watch. Every file is a picture, and its bytes are its hash.

    read: the paths that were given to be read, by name. hold: names that are not read for now.
    """

    def __init__(self, folder: Path, most: int = 1000, **settings: Any) -> None:
        self.root = folder / "disk" / "root"
        self.root.mkdir(parents=True)
        self.index = Index(Store.open(folder / "index.db", "decoder-1"), Resident(4))
        self.index.store.use_model("four", "four", 4)
        self.backlog, self.dirty = Backlog(most), Dirty()
        self.roots = Roots(self.index)
        rules = Rules(settings.pop("exclude", ()))
        told = {"follow_symlinks": False, "rescan": 3600.0, "rescan_unwatched": 300.0} | settings
        self.lookout = Lookout(self.dirty, os.fsencode(folder / "lookout"))
        self.library = Library(self.roots, rules, self.dirty, self.lookout, **told)
        self.read: list[tuple[str, Urgency]] = []
        self.hold: set[str] = set()
        self.held: list[Job] = []
        self.reconciler = Reconciler(self.library, self.index, self.backlog, self._submit)
        self.roots.add(os.fsencode(self.root))

    def start(self) -> World:
        self.reconciler.start()
        self.settle()
        return self

    def stop(self) -> None:
        if self.reconciler.ident is not None:
            self.reconciler.stop()
        self.index.store.close()

    def add(self, root: Path) -> None:
        self.roots.add(os.fsencode(root))
        self.dirty.mark_deep(os.fsencode(root))

    def remove(self, root: Path) -> None:
        self.roots.remove(os.fsencode(root))
        self.reconciler.forget(os.fsencode(root))

    def put(self, name: str, text: str = "") -> Path:
        """A file that nobody takes for half-written."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or name)
        os.utime(path, LONG_AGO)
        return path

    def settle(self) -> None:
        assert self.reconciler.settle(PATIENCE_S)

    def known(self) -> dict[Path, bytes]:
        """What can be found, with its bytes."""
        return {
            Path(os.fsdecode(file.path)): file.picture.hash.rstrip(b"\0")
            for file in self.index.store.files(0, 100_000)
            if not file.offline
        }

    def truth(self, *roots: Path) -> dict[Path, bytes]:
        found = [path for root in roots or (self.root,) for path in root.rglob("*")]
        return {path: path.read_bytes()[:16].rstrip(b"\0") for path in found if path.is_file()}

    def _submit(self, job: Job) -> None:
        name = os.path.basename(os.fsdecode(job.path))
        if name in self.hold:
            self.held.append(job)
            return
        self.read.append((name, job.urgency))
        self.finish(job)

    def finish(self, job: Job) -> None:
        try:
            stamp = Stamp.of(os.lstat(job.path))
            data = Path(os.fsdecode(job.path)).read_bytes()[:16].ljust(16, b"\0")
        except OSError:
            self.dirty.mark(os.path.dirname(job.path))
        else:
            vector = np.array([1, 0, 0, 0], np.float32)
            self.index.commit([Indexed(job.path, stamp, data, True, PHOTO, vector)])
        self.backlog.finish(job.path, self.dirty.mark)
