"""Who copies the machine's mounts has a disk's as well, and keeps it busy for whoever pulls it out: so no
copy is made while another test has a disk."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def disks_plugged() -> Iterator[None]:
    """Waits while mounts are copied."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def mounts_copied() -> Iterator[None]:
    """Waits while there are disks: for the making of mount namespaces (unshare --mount, ip netns exec)."""
    with _locked(fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(how: int) -> Iterator[None]:
    with open(f"{tempfile.gettempdir()}/imgq-mounts-{os.getuid()}", "w") as file:
        fcntl.flock(file, how)
        yield
