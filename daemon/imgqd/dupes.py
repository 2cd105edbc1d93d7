"""Files that show the same picture: by their bytes, by their pixels, or nearly."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from imgq import wire
from imgqd.search.filters import passing
from imgqd.search.near import stars

if TYPE_CHECKING:
    from imgqd.index import Index
    from imgqd.store import Shown

T = TypeVar("T")
Kind = Literal["bytes", "pixels", "near"]
# Copies are as near as this by the model, too; whatever it is, it sees them alike.
LEAST_COSINE = 0.8
# Asked of the store at a time.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Extra:
    """A file that is not needed beside the keeper, and how alike it is: 1 for the same."""

    shown: Shown
    alike: float = 1.0


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one kind of sameness. Of those that are the same in a stricter way only the one that is
    kept is in it: whoever takes every extra of every group away keeps each picture once."""

    kind: Kind
    keeper: Shown
    extras: list[Extra]


@dataclass(frozen=True, slots=True)
class Near:
    """A picture, those that are near it, and how alike."""

    first: int
    others: list[int]
    alike: list[float]


class Dupes:
    """Looks for them; for nearly the same ones one look at a time, for each takes memory and a core."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()

    def groups(self, within: Sequence[bytes], near: float) -> Iterator[Group]:
        """All groups among the files under those folders, or all without any, on roots that are online.
        near: how alike nearly the same pictures are, from above 0 to 1; 1 for none of these."""
        look = _Look(self._index, tuple(within))
        yield from look.same_bytes()
        yield from look.same_pixels()
        if near < 1:
            with self._lock:
                found = look.nearly_same(near)
            yield from look.of_these(found)


class _Look:
    """One look, class by class: who is kept of a stricter one stands for the others."""

    def __init__(self, index: Index, folders: tuple[bytes, ...]) -> None:
        self._index = index
        self._folders = folders
        filter = wire.Filter(within=folders)
        self._holds = passing(index.store, wire.Search(terms=(), filter=filter))
        self._best: dict[int, Shown | None] = {}
        self._stands_for: dict[int, int] = {}

    def same_bytes(self) -> Iterator[Group]:
        for page in _pages(self._index.store.copied()):
            for files in self._files(page).values():
                if len(files) > 1:
                    yield _group("bytes", files)

    def same_pixels(self) -> Iterator[Group]:
        """Of each picture the file that is kept."""
        for page in _pages(self._index.store.same_pixels()):
            best = self._best_of([picture for pictures in page for picture in pictures])
            for pictures in page:
                files = [best[picture] for picture in pictures if picture in best]
                if len(files) > 1:
                    files.sort(key=preference)
                    self._stands_for.update(dict.fromkeys(pictures, files[0].picture.id))
                    yield _group("pixels", files)

    def nearly_same(self, least: float) -> list[Near]:
        """A picture that is kept, and all that are near it and near none that is preferred to it."""
        store = self._index.store
        known = store.imprints(self._shown())

        def agree(first: int, others: np.ndarray) -> np.ndarray:
            vectors = store.vectors(known.ids[[first, *others]].tolist())
            return _alike(vectors, known.ids[first], known.ids[others])

        return [
            Near(int(known.ids[star.first]), known.ids[star.others].tolist(), star.alike.tolist())
            for star in stars(known, least, agree)
        ]

    def of_these(self, found: list[Near]) -> Iterator[Group]:
        for near in found:
            ids = [self._stands_for.get(each, each) for each in (near.first, *near.others)]
            best = self._best_of(ids)
            extras = [
                Extra(best[id], alike)
                for id, alike in zip(ids[1:], near.alike, strict=True)
                if id in best
            ]
            if ids[0] in best and extras:
                extras.sort(key=lambda each: preference(each.shown))
                yield Group("near", best[ids[0]], extras)

    def _shown(self) -> set[int]:
        """The pictures with a file that passes."""
        store, folders = self._index.store, self._folders
        return {id for folder in folders or (None,) for id in store.showing(folder).tolist()}

    def _best_of(self, pictures: Iterable[int]) -> dict[int, Shown]:
        for page in _pages(each for each in pictures if each not in self._best):
            files = self._files(page)
            self._best.update({each: files[each][0] if each in files else None for each in page})
        return {each: best for each in pictures if (best := self._best.get(each)) is not None}

    def _files(self, pictures: list[int]) -> dict[int, list[Shown]]:
        """The files of those pictures that pass, the one to keep first; of several links to one file, or
        ways to it, one."""
        found = {}
        for picture, files in self._index.store.files_of(pictures).items():
            once: dict[tuple[int, int], Shown] = {}
            for shown in sorted(files, key=preference):
                if self._holds(shown):
                    once.setdefault((shown.stamp.device, shown.stamp.inode), shown)
            if once:
                found[picture] = list(once.values())
        return found


def preference(shown: Shown) -> tuple[int, int, int, int, bytes]:
    """The file to keep comes first: that with the most pixels, then bytes, the oldest, by the shortest
    path."""
    metadata, stamp = shown.picture.metadata, shown.stamp
    return (
        -metadata.width * metadata.height,
        -stamp.size,
        stamp.mtime_ns,
        len(shown.path),
        shown.path,
    )


def _group(kind: Kind, files: list[Shown]) -> Group:
    return Group(kind, files[0], [Extra(shown) for shown in files[1:]])


def _alike(vectors: dict[int, np.ndarray], first: int, others: np.ndarray) -> np.ndarray:
    """Which of them the model sees alike with the first: bool (n,)."""
    one = vectors.get(int(first))
    return np.array(
        [
            one is not None and each in vectors and float(one @ vectors[each]) >= LEAST_COSINE
            for each in others.tolist()
        ],
        np.bool_,
    )


def _pages(found: Iterable[T]) -> Iterator[list[T]]:
    page: list[T] = []
    for each in found:
        page.append(each)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
