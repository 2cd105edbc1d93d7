"""Which folders can be watched, and which paths are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from imgq.errors import Refused, UsageError
from imgqd.library.scan import under


def require_foreign(path: bytes, own: Iterable[str]) -> None:
    """Raises Refused where a folder is imgq's own. own: those there are."""
    real = os.path.realpath(path)
    if any(under(real, os.path.realpath(os.fsencode(folder))) for folder in own):
        raise Refused(
            f"{os.fsdecode(path)} is a folder of imgq's own", "give a folder with pictures in it"
        )


def require_watched(paths: Iterable[bytes], roots: Sequence[bytes]) -> None:
    """Raises UsageError where nothing at or under a path can be in the index."""
    for path in paths:
        if not any(under(path, root) or under(root, path) for root in roots):
            raise UsageError(
                f"{os.fsdecode(path)} is in no watched folder",
                "`imgq roots` lists the folders, `imgq add DIR` watches another",
            )
