"""What is mounted where, and what can be asked of each kind of file system, by /proc/self/mountinfo."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

# These number their files anew at each mount, or keep no time of the last change of an inode.
_UNSTEADY = ("vfat", "exfat", "msdos", "ntfs", "fuse", "cifs", "smb")

# Changes made on another machine make no event here.
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "ceph", "afs", "virtiofs", "davfs", "glusterfs")

# Their f_fsid is made from what is written on the disk, or anew for each mount of nothing; that of others
# follows the number of the device, which changes with the socket a disk is put into.
_NAMED = ("ext2", "ext3", "ext4", "btrfs", "tmpfs", "zfs", "bcachefs", "ramfs")

# The kernel's own words, no files of anybody.
_PSEUDO = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs"),
        *("devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc"),
        *("pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sockfs", "sysfs", "tracefs"),
    )
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A place where a file system is mounted, and the name of its type."""

    where: bytes
    kind: str


def table() -> list[Mount] | None:
    """Every mount, the later ones on top of the earlier; None where the platform does not tell."""
    told = _told()
    return None if told is None else _mounts(told)


def _told() -> bytes | None:
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return file.read()
    except OSError:
        return None


class Table:
    """The mounts as they were when they were last looked at."""

    def __init__(self) -> None:
        self._told = _told()

    def changes(self) -> set[bytes]:
        """The places where something was mounted or unmounted since the last look."""
        before, self._told = self._told, _told()
        if before == self._told:
            return set()
        return {each.where for each in {*_mounts(before)} ^ {*_mounts(self._told)}}


def kind(folder: bytes) -> str:
    """The name of the file system's type; empty where the platform does not tell."""
    real = os.path.realpath(folder).rstrip(b"/") + b"/"
    holding = [each for each in table() or () if real.startswith(each.where.rstrip(b"/") + b"/")]
    # The last line of equals is the mount on top.
    deepest = max((len(each.where) for each in holding), default=0)
    return next((each.kind for each in reversed(holding) if len(each.where) == deepest), "")


def below(folder: bytes) -> frozenset[bytes] | None:
    """The places below the folder, itself perhaps a link, where something is mounted; None where the
    platform does not tell."""
    mounts = table()
    if mounts is None:
        return None
    real = os.path.realpath(folder).rstrip(b"/") + b"/"
    places = [each.where[len(real) :] for each in mounts if each.where.startswith(real)]
    return frozenset(os.path.join(folder, place) for place in places if place)


def is_mounted(path: bytes) -> bool:
    """Whether something is mounted at the path."""
    there = below(os.path.dirname(path))
    return os.path.ismount(path) if there is None else path in there


def is_steady(kind: str) -> bool:
    """Whether inode numbers and ctimes of such a file system last from mount to mount."""
    return not kind.startswith(_UNSTEADY)


def is_remote(kind: str) -> bool:
    return kind.startswith(_REMOTE)


def is_named(kind: str) -> bool:
    """Whether f_fsid tells such a file system from every other, wherever it is mounted."""
    return kind.startswith(_NAMED)


def is_pseudo(kind: str) -> bool:
    return kind in _PSEUDO


def _mounts(told: bytes | None) -> list[Mount]:
    return [_mount(line) for line in (told or b"").splitlines()]


def _mount(line: bytes) -> Mount:
    fields = line.split(b" ")
    where = re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), fields[4])
    return Mount(where, fields[fields.index(b"-") + 1].decode())
