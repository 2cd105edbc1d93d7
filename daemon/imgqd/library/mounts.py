"""What kind of file system a folder lies on, by /proc/self/mountinfo."""

from __future__ import annotations

import os
import re

# These number their files anew at each mount, or keep no time of the last change of an inode.
_UNSTEADY = ("vfat", "exfat", "msdos", "ntfs", "fuse", "cifs", "smb")

# Changes made on another machine make no event here.
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "ceph", "afs", "virtiofs", "davfs", "glusterfs")


def kind(folder: bytes) -> str:
    """The name of the file system's type; empty where the platform does not tell."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            mounts = [_mount(line) for line in file]
    except OSError:
        return ""
    real = os.path.realpath(folder).rstrip(b"/") + b"/"
    holding = [
        (where, name) for where, name in mounts if real.startswith(where.rstrip(b"/") + b"/")
    ]
    # The last line of equals is the mount on top.
    deepest = max((len(where) for where, _ in holding), default=0)
    return next((name for where, name in reversed(holding) if len(where) == deepest), "")


def is_steady(kind: str) -> bool:
    """Whether inode numbers and ctimes of such a file system last from mount to mount."""
    return not kind.startswith(_UNSTEADY)


def is_remote(kind: str) -> bool:
    return kind.startswith(_REMOTE)


def _mount(line: bytes) -> tuple[bytes, str]:
    fields = line.split(b" ")
    where = re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), fields[4])
    return where, fields[fields.index(b"-") + 1].decode()
