"""What the reconciler does with hints: it watches what is new and lists it afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from conftest import until
from imgqd.library.dirty import Dirty
from imgqd.library.watch import Watch


class Looker:
    """A watcher on a folder, and what it has hinted at so far."""

    def __init__(self, watch: Watch, dirty: Dirty, root: Path) -> None:
        self.watch = watch
        self.dirty = dirty
        self.root = root
        self.hinted: set[Path] = set()
        self.deep: set[Path] = set()
        self.closed: set[Path] = set()
        self.emptied: set[Path] = set()

    def cover(self, top: Path | None = None) -> list[Path]:
        """Watches a folder and all under it; those that were not watched before."""
        folders = [Path(path) for path, _, _ in os.walk(top or self.root)]
        root = os.fsencode(self.root)
        return [each for each in folders if not self.watch.add(os.fsencode(each), root)]

    def listen(self) -> None:
        """Takes what there is by now."""
        self.dirty.hurry()
        hints = self.dirty.take(0.05)
        for told, kept in (
            (hints.folders, self.hinted),
            (hints.deep, self.deep),
            (hints.closed, self.closed),
            (hints.emptied, self.emptied),
        ):
            kept |= {Path(os.fsdecode(path)) for path in told}

    def tells_of(self, *folders: Path) -> None:
        """Waits until each of the folders is hinted at, or one above it with all that is in it."""

        def told() -> bool:
            self.listen()
            return all(
                each in self.hinted or any(each.is_relative_to(deep) for deep in self.deep)
                for each in folders
            )

        until(told, f"a hint at {', '.join(map(str, folders))}", patience=20.0)

    def tells_after(self, action: Callable[[], object], *folders: Path) -> None:
        """Forgets what was told before the action; waits as `tells_of`."""
        self.settle()
        action()
        self.tells_of(*folders)

    def sees_closed(self, path: Path) -> None:
        until(lambda: (self.listen(), path in self.closed)[1], f"the end of {path}", patience=20.0)

    def settle(self) -> None:
        """All that happened until now has been told, and is forgotten."""
        mark = self.root / f"mark-{len(list(self.root.glob('mark-*')))}"
        mark.write_bytes(b"1")
        self.sees_closed(mark)
        for kept in (self.hinted, self.deep, self.closed, self.emptied):
            kept.clear()
