"""Holds the index against the disk by itself: it looks at everything, changes nothing, and asks nobody of
those whose work it is to keep the index right."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from imgqd.library import mounts, reach
from imgqd.library.compare import Differences, is_nothing, paired
from imgqd.library.scan import look, under
from imgqd.store.files import is_same
from imgqd.store.files import row as row_of

if TYPE_CHECKING:
    from imgqd.library.scan import Entry
    from imgqd.library.walk import Library
    from imgqd.store import Store
    from imgqd.store.files import Listed

    Pairs = Iterable[tuple[Entry, Listed | None]]

# What changed when the audit had begun, or just before, is for those who hear of changes.
YOUNG_NS = 2_000_000_000

Code = Literal["missing", "gone", "changed", "forgotten"]


@dataclass(frozen=True, slots=True)
class Difference:
    """missing: a file that the index does not have; gone: a file, or a folder with so many files, that is
    no more; changed: another stamp; forgotten: a file whose picture is to be embedded."""

    code: Code
    path: bytes
    files: int = 1
    stamp: tuple[int, ...] = ()

    @property
    def folder(self) -> bytes:
        """The folder that shows it when it is looked at."""
        return os.path.dirname(self.path)


@dataclass(slots=True)
class Looked:
    """How much an audit has looked at; skipped: folders that could not be, and roots that are offline."""

    files: int = 0
    folders: int = 0
    skipped: list[bytes] = field(default_factory=list)


class Audit:
    """Of the library, or of what lies under some folders."""

    def __init__(self, library: Library, store: Store) -> None:
        self._library = library
        self._store = store
        self._began = time.time_ns()
        self.looked = Looked()

    def differences(self, tops: Sequence[bytes] = ()) -> Iterator[Difference]:
        """All there are; at or under the tops, where there are any."""
        for root in self._library.roots.paths():
            if not tops or any(under(root, top) for top in tops):
                yield from self._below(root, root)
            else:
                for top in tops:
                    if self._library.roots.of(top) == root:
                        yield from self._below(_nearest(top), root)

    def again(self, seen: Iterable[Difference]) -> Iterator[Difference]:
        """Those that are still there, in folders where nothing has stirred since."""
        wanted = set(seen)
        for folder in sorted({each.folder for each in wanted}):
            root = self._library.roots.of(folder)
            if root is not None and not self._has_stirred(folder, root):
                yield from wanted.intersection(self._folder(folder, root, Looked())[0])

    def _below(self, top: bytes, root: bytes) -> Iterator[Difference]:
        if root in self._library.roots.offline():
            self.looked.skipped.append(root)
            return
        others = {*self._library.roots.paths(), *(mounts.below(root) or ())}
        folders = [top]
        while folders:
            found, below = self._folder(folders.pop(), root, self.looked)
            # Roots have their own turn, and what is mounted here is one, or will be.
            folders += [folder for folder in below if folder not in others]
            yield from found

    def _folder(
        self, folder: bytes, root: bytes, looked: Looked
    ) -> tuple[list[Difference], list[bytes]]:
        """Looks at one folder: what is different in it, and the folders that it holds."""
        others, library = Differences(), self._library
        steady = mounts.is_steady(library.roots.kind(root))
        try:
            with look(folder, root, library.rules, library.follow_symlinks) as entries:
                pairs = paired(entries, self._store.listed(folder), steady, others)
                found = list(self._files(folder, pairs, steady))
        except (FileNotFoundError, NotADirectoryError):
            return [*self._gone([folder])], []
        except OSError:
            looked.skipped.append(folder)
            return [], []
        looked.folders += 1
        looked.files += others.looked - len(others.folders) - len(others.unseen)
        known = {*self._store.child_folders(folder)} - {*others.folders, *others.unseen}
        if others.unseen:
            looked.skipped.append(folder)
        found += [Difference("gone", os.path.join(folder, name)) for name in others.gone]
        found += self._gone(os.path.join(folder, name) for name in known)
        return found, [os.path.join(folder, name) for name in others.folders]

    def _files(self, folder: bytes, pairs: Pairs, steady: bool) -> Iterator[Difference]:
        for (name, status), row in pairs:
            if row is None and is_nothing(name, status):
                continue
            code = _code(row, status, steady)
            if code and not self._is_young(status):
                stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
                yield Difference(code, os.path.join(folder, name), 1, stamp)

    def _gone(self, folders: Iterable[bytes]) -> Iterator[Difference]:
        """Folders that are no more, but those above a root, which has its own state."""
        roots = self._library.roots.paths()
        for folder in folders:
            if not any(under(root, folder) for root in roots):
                below = self._store.folders_under(folder)
                files = sum(1 for each in below for _ in self._store.listed(each))
                yield Difference("gone", folder, files)

    def _has_stirred(self, folder: bytes, root: bytes) -> bool:
        """Whether a name came into the folder or left it, or it has another name itself, or one above
        it has: a folder that is called now this and now that is never where it was known."""
        try:
            stirred = self._is_young(reach.status(folder, follow=True))
            while folder != root and not stirred:
                status = reach.status(folder)
                stirred = status.st_ctime_ns > status.st_mtime_ns and self._is_young(status)
                folder = os.path.dirname(folder)
        except OSError:
            return True
        return stirred

    def _is_young(self, status: os.stat_result) -> bool:
        latest, now = max(status.st_mtime_ns, status.st_ctime_ns), time.time_ns()
        return self._began - YOUNG_NS <= latest <= now


def _nearest(folder: bytes) -> bytes:
    """The folder, or the nearest above it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _code(row: Listed | None, status: os.stat_result, steady: bool) -> Code | None:
    """What is wrong with a file that is there."""
    if row is None:
        return "missing"
    known = row_of(row)
    if not known.trusted:
        return None
    if not is_same(known.stamp, status, steady):
        return "changed"
    return "forgotten" if known.state == "pending" else None
