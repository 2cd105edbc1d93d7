"""What kind of file system a folder lies on."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgqd.library import mounts
from mounting import mounts_copied

MOUNTINFO = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /srv/nas rw shared:7 master:2 - nfs4 nas:/photos rw,vers=4.2
31 22 8:17 / /media/card\040one rw - vfat /dev/sdb1 rw
32 22 8:33 / /srv/nasty rw - xfs /dev/sdc1 rw
33 30 0:51 /- /srv/nas/- rw - fuse.sshfs ada@nas: rw
34 22 0:60 / /over rw - ext4 /dev/sdd1 rw
35 34 0:61 / /over rw - tmpfs tmpfs rw
"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "open", lambda *_: io.BytesIO(MOUNTINFO), raising=False)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        (b"/", "ext4"),
        (b"/home/ada", "ext4"),
        (b"/srv/nas", "nfs4"),
        (b"/srv/nas/2024", "nfs4"),
        (b"/srv/nasty/2024", "xfs"),
        (b"/srv/nas/-/x", "fuse.sshfs"),
        (b"/media/card one/DCIM", "vfat"),
        (b"/over/there", "tmpfs"),
    ],
)
def test_the_deepest_and_topmost_mount_counts(folder: bytes, kind: str) -> None:
    assert mounts.kind(folder) == kind


@pytest.mark.usefixtures("told")
def test_a_link_is_of_the_kind_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/srv/nas/2024")
    assert mounts.kind(os.fsencode(tmp_path / "link")) == "nfs4"


def test_a_platform_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(mounts, "open", refuse, raising=False)
    assert mounts.kind(b"/") == ""
    assert mounts.is_steady("")
    assert not mounts.is_remote("")


@pytest.mark.parametrize(
    "kind", ["vfat", "exfat", "fuseblk", "fuse.sshfs", "cifs", "smb3", "ntfs3"]
)
def test_inodes_and_ctimes_that_do_not_last(kind: str) -> None:
    assert not mounts.is_steady(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", "nfs4"])
def test_inodes_and_ctimes_that_last(kind: str) -> None:
    assert mounts.is_steady(kind)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_file_systems_that_make_no_events(kind: str) -> None:
    assert mounts.is_remote(kind)
    assert not mounts.is_remote("ext4")


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces are Linux's")
@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) is not installed")
def test_a_real_mount_is_told_from_what_is_under_it(tmp_path: Path) -> None:
    point = tmp_path / "a disk"
    point.mkdir()
    ask = "import sys; from imgqd.library.mounts import kind; print(kind(sys.argv[1].encode()))"
    script = 'mount -t ramfs none "$1" && mkdir "$1/deep" && shift && exec "$@"'
    words = [sys.executable, "-c", ask, f"{point}/deep"]
    with mounts_copied():
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", str(point), *words],
            capture_output=True,
            text=True,
            check=False,
        )
    if "permission" in done.stderr.lower() or "not permitted" in done.stderr:
        pytest.skip(f"this machine does not let a test mount: {done.stderr.strip()}")
    assert done.stdout.split() == ["ramfs"], done.stderr
