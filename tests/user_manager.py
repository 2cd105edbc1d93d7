"""A systemd of one user, a real one, in a namespace of its own: its units and processes are nobody else's,
and end with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import until
from mounting import mounts_copied

SYSTEMD = "/lib/systemd/systemd"
# What it takes for a manager of users to believe that it is one: a runtime folder, and a cgroup to divide.
WORLD = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p -m 700 "$XDG_RUNTIME_DIR" /run/systemd/system
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
mkdir -p /sys/fs/cgroup/systemd/$IMGQ_CGROUP
echo $$ > /sys/fs/cgroup/systemd/$IMGQ_CGROUP/cgroup.procs
echo ready
# Process 1 would be a manager of the system.
"$SYSTEMD" --user --unit=basic.target --log-target=console &
wait
"""


class UserManager:
    """Commands run in its namespace, with the home `home`. environment: theirs."""

    def __init__(self, pid: int, environment: dict[str, str]) -> None:
        self._inside = ("nsenter", "--target", str(pid), "--mount", "--pid", "--")
        self.environment = environment

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._inside, *words]
        return subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    def shows(self, unit: str, *names: str) -> dict[str, str]:
        done = self.run("systemctl", "--user", "show", f"--property={','.join(names)}", unit)
        return dict(line.split("=", 1) for line in done.stdout.splitlines())


def why_not() -> str | None:
    """Why there can be none here, if so."""
    if os.geteuid() != 0:
        return "a namespace with a cgroup of its own is root's to make"
    for program in ("unshare", "nsenter", "systemctl", SYSTEMD):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


@contextmanager
def user_manager(folder: Path) -> Iterator[UserManager | str]:
    """The manager, or why it did not come up."""
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    for name in ("NOTIFY_SOCKET", "DBUS_SESSION_BUS_ADDRESS", "IMGQ_HOME"):
        kept.pop(name, None)
    environment = kept | {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": "/run/user/0",
        "SYSTEMD": SYSTEMD,
        "IMGQ_CGROUP": f"imgq-{os.getpid()}",
        "LC_ALL": "C.UTF-8",
    }
    words = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-ec", WORLD]
    with open(folder / "manager.log", "wb") as log, mounts_copied():
        outside = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        assert outside.stdout
        said = outside.stdout.readline()
    try:
        if said != b"ready\n":
            yield (folder / "manager.log").read_text(errors="replace").strip()
            return
        manager = UserManager(_only_child(outside.pid), environment)
        answers = ("systemctl", "--user", "show", "--property=Version")
        until(lambda: manager.run(*answers).returncode == 0, "an answer of systemd")
        yield manager
    finally:
        outside.kill()
        outside.wait()
        outside.stdout.close()
        cgroup = Path("/sys/fs/cgroup/systemd", environment["IMGQ_CGROUP"])
        until(lambda: _is_removed(cgroup), "the end of its last process")


def _is_removed(cgroup: Path) -> bool:
    """Its files are the kernel's, and go with it, when nobody is in it any more."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
    return not cgroup.exists()


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
