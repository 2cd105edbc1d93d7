"""What the daemon knows that spares a decoder work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from imgqd.records import Precedent


def _never(_path: bytes) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Memory:
    """vector: the embedding of a hash's picture, float32 (dim,), by the model in use, or None.
    failure: why the bytes with a hash are known to be no picture, or may be none, or None.
    follow_symlinks: whether a file may be a link.
    is_remote: whether a path lies on a disk that may stop answering. is_silent: whether it is known not
    to answer now. leads_elsewhere: whether a folder above the path has become a link.
    """

    is_known: Callable[[bytes], bool]
    vector: Callable[[bytes], np.ndarray | None]
    failure: Callable[[bytes], Precedent | None]
    follow_symlinks: bool
    is_remote: Callable[[bytes], bool] = _never
    is_silent: Callable[[bytes], bool] = _never
    leads_elsewhere: Callable[[bytes], bool] = _never
