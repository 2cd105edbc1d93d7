"""What an answer may show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgq import wire
from imgqd.library.scan import under
from imgqd.store.lookup.lookup import distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imgqd.search.rows import Ids
    from imgqd.store import Shown, Store


@dataclass(frozen=True, slots=True)
class Scope:
    """pictures: those of which some file may be shown, int64 (n,), ascending; None where all may.
    holds: whether this file may."""

    pictures: Ids | None
    holds: Callable[[Shown], bool]


def scope(store: Store, request: wire.Search, *, away: bool) -> Scope:
    """away: whether some root is offline."""
    filter = normal(request.filter)
    hides = away and not request.offline
    if filter == wire.Filter(within=filter.within):
        return _in_folders(store, filter.within, request.offline, hides)
    passed = store.passed(filter, offline=request.offline)
    return Scope(passed.pictures, lambda shown: passed.holds(shown.file))


def passing(
    store: Store, request: wire.Search, among: Iterable[int] | None = None
) -> Callable[[Shown], bool]:
    """The same for whoever looks at files one by one; among: at these alone."""
    filter = normal(request.filter)
    if filter == wire.Filter(within=filter.within):
        return _under(filter.within, request.offline)
    if among is not None:
        files = store.passing(filter, among, offline=request.offline)
        return lambda shown: shown.file in files
    passed = store.passed(filter, offline=request.offline)
    return lambda shown: passed.holds(shown.file)


def normal(filter: wire.Filter) -> wire.Filter:
    """The same, its folders as paths are written in the store."""
    within = tuple(map(os.path.normpath, filter.within))
    return wire.Filter(**{**filter.__dict__, "within": within})


def _in_folders(store: Store, folders: tuple[bytes, ...], offline: bool, hides: bool) -> Scope:
    holds = _under(folders, offline)
    if not folders:
        return Scope(store.showing(None) if hides else None, holds)
    found = [store.showing(folder, offline=offline) for folder in folders]
    return Scope(distinct(np.concatenate(found)), holds)


def _under(folders: tuple[bytes, ...], offline: bool) -> Callable[[Shown], bool]:
    def holds(shown: Shown) -> bool:
        if shown.offline and not offline:
            return False
        return not folders or any(under(shown.path, folder) for folder in folders)

    return holds
