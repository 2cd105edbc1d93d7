"""Which folders can be watched, and which paths are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from imgq.errors import Refused, UsageError
from imgqd.library import mounts
from imgqd.library.scan import under

# What a kernel makes up as it is read. Each name ends in itself: there is "cgroup2", too.
_MADE_UP = frozenset(
    """binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue
    nsfs proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs""".split()  # noqa: SIM905
)


def require_pictures(path: bytes, own: Iterable[str]) -> None:
    """Raises Refused where a folder cannot hold pictures of anybody. own: the folders of imgq itself."""
    real = os.path.realpath(path)
    if any(under(real, os.path.realpath(os.fsencode(folder))) for folder in own):
        raise Refused(
            f"{os.fsdecode(path)} is a folder of imgq's own", "give a folder with pictures in it"
        )
    kind = mounts.kind(path)
    if kind in _MADE_UP:
        raise Refused(
            f"{os.fsdecode(path)} is no folder on a disk: the system makes it up ({kind})",
            "give a folder with pictures in it",
        )


def require_watched(paths: Iterable[bytes], roots: Sequence[bytes]) -> None:
    """Raises UsageError where nothing at or under a path can be in the index."""
    for path in paths:
        if not any(under(path, root) or under(root, path) for root in roots):
            raise UsageError(
                f"{os.fsdecode(path)} is in no watched folder",
                "`imgq roots` lists the folders, `imgq add DIR` watches another",
            )
