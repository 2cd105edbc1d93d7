"""A database as files: the database itself, and what SQLite lays beside it."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from imgq.errors import StoreDamaged

LOG = "-wal"
BESIDE = ("", LOG, "-shm", "-journal")
UNFINISHED = ".new"
ASIDE = ".damaged-"
# of those that were set aside, the newest
MOST_ASIDE = 2
# so long a file may be written to again without another time
YOUNG_NS = 2_000_000_000


def true_path(path: Path) -> Path:
    """Where the database really lies: SQLite follows links, and lays its log there."""
    return Path(os.path.realpath(path))


def create(path: Path) -> None:
    """An empty file, its owner's alone, where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def refuse_other(path: Path) -> None:
    """Raises StoreDamaged for a folder, or whatever else is no file."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StoreDamaged(f"the index {path} is no file")


def size(path: Path) -> int:
    """Bytes; 0 where there is no file."""
    with suppress(FileNotFoundError):
        return os.stat(path).st_size
    return 0


def log_of(path: Path) -> Path:
    return path.with_name(path.name + LOG)


def found(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Device and inode of the database and of its log."""
    return _inode(path), _inode(log_of(path))


def stamps(path: Path) -> tuple[tuple[int, ...], ...] | None:
    """Of the database and its log, what differs when one was written or is another: device, inode, size,
    mtime_ns. None where a file that was just written may be so again without another stamp."""
    now, found = time.time_ns(), list[tuple[int, ...]]()
    for each in (path, log_of(path)):
        with suppress(FileNotFoundError):
            status = os.stat(each)
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
            if abs(now - status.st_mtime_ns) < YOUNG_NS:
                return None
    return tuple(found)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def unfinished(path: Path) -> Path:
    """Where the database is built that is to take this one's place."""
    return path.with_name(path.name + UNFINISHED)


def remove(path: Path) -> None:
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def put_in_place(path: Path) -> Path | None:
    """Puts the database that was built for this path there; what was there is renamed to a
    name with the date, and returned; of those from earlier times only the newest is kept. Neither is
    open. There is one or the other at any instant."""
    aside = _aside(path)
    # a log must never be taken for another database's
    moved = [_rename(f"{path}{suffix}", f"{aside}{suffix}") for suffix in BESIDE[1:]]
    if there := os.path.lexists(path):
        _keep(path, aside)
    os.rename(unfinished(path), path)
    _forget_oldest(path)
    sync(path.parent)
    return aside if there or any(moved) else None


def sync(path: Path) -> None:
    """Has the disk hold what was written of a file, or which files a folder has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(path: Path) -> Path:
    date = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = (path.with_name(f"{path.name}{ASIDE}{date}{n or ''}") for n in count())
    return next(name for name in names if not os.path.lexists(name))


def _forget_oldest(path: Path) -> None:
    start = f"{path.name}{ASIDE}"
    found = (name for name in os.listdir(path.parent) if name.startswith(start))
    # what SQLite lays beside has one more dash
    dates = {"-".join(name.removeprefix(start).split("-")[:2]) for name in found}
    for date in sorted(dates)[:-MOST_ASIDE]:
        with suppress(OSError):  # a folder, which is somebody's own
            remove(path.with_name(start + date))


def _keep(path: Path, aside: Path) -> None:
    try:
        os.link(path, aside)
    except OSError:  # a folder, or a file system without links
        os.rename(path, aside)


def _rename(path: str, other: str) -> bool:
    """Whether there was anything to rename."""
    try:
        os.rename(path, other)
    except FileNotFoundError:
        return False
    return True
