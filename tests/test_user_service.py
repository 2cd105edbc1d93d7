"""The service under a real systemd of a user, from its installation to its removal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fake_embedder
from conftest import until
from pictures import jpeg
from test_units import UNIT
from user_manager import UserManager, user_manager, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

INSTALL = "import sys; from imgq import service; print(service.install(sys.argv[1]))"
UNITS = ("imgqd.service", "imgqd.socket")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who is logged in."""

    manager: UserManager
    folder: Path

    def imgq(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.manager.run(sys.executable, "-m", "imgq", *words)

    def install(self) -> str:
        done = self.manager.run(sys.executable, "-c", INSTALL, str(self.folder / "imgqd"))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr + self.log
        return done.stdout

    def makes_sandboxes(self) -> bool:
        run = ("systemd-run", "--user", "--wait", "--property=PrivateUsers=yes")
        return self.manager.run(*run, "--property=ProtectKernelLogs=yes", "true").returncode == 0

    def edit(self, text: str) -> None:
        """As `systemctl --user edit imgqd` does."""
        folder = self.folder / "home" / ".config" / "systemd" / "user" / "imgqd.service.d"
        folder.mkdir(parents=True)
        (folder / "override.conf").write_text(text)

    @property
    def log(self) -> str:
        return (self.folder / "manager.log").read_text(errors="replace")

    @property
    def main_pid(self) -> int:
        return int(self.manager.shows("imgqd.service", "MainPID")["MainPID"])

    def active(self) -> list[str]:
        return [self.manager.shows(unit, "ActiveState")["ActiveState"] for unit in UNITS]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    variables = fake_embedder.environment(folder / "embedded")
    words = " ".join(f"'{name}={value}'" for name, value in variables.items())
    (folder / "imgqd").write_text(f"#!/bin/sh\nexec env {words} '{sys.executable}' -m imgqd\n")
    (folder / "imgqd").chmod(0o755)
    with user_manager(folder) as manager:
        if isinstance(manager, str):
            pytest.skip(f"no systemd of a user comes up here: {manager}")
        settings = folder / "home" / ".config" / "imgq"
        settings.mkdir(parents=True)
        (settings / "settings.toml").write_text('model = "builtin"\n')
        account = Account(manager, folder)
        # Without a cgroup2 of its own it may not see that the last process has ended, and waits for that.
        account.edit(
            f"{'' if account.makes_sandboxes() else remedy()}\n[Service]\nTimeoutStopSec=3\n"
        )
        yield account


def remedy() -> str:
    """What the last lines of the unit have a person write where no sandbox can be made."""
    said = UNIT.read_text().partition("and write\n#\n")[2].partition("\n\n")[0]
    return "\n".join(line.strip("# ") for line in said.splitlines()) + "\n"


def test_a_life_of_the_service(account: Account) -> None:
    pictures = account.folder / "pictures"
    pictures.mkdir()
    jpeg(pictures / "red.jpg", "red")

    assert "imgqd is running, and starts when you log in" in account.install()
    assert account.active() == ["active", "active"]
    first = account.main_pid
    for unit in UNITS:
        assert account.manager.shows(unit, "UnitFileState")["UnitFileState"] == "enabled"
    assert account.imgq("start", str(pictures)).returncode == 0
    assert account.imgq("wait", "--timeout=60").returncode == 0
    # It is the service that answers, through systemd's own socket, and says what it does.
    assert account.main_pid == first
    found = account.imgq("red", "-l")
    assert (found.stdout, found.stderr) == (f"{pictures}/red.jpg\n", "")
    # A shell of cron, or of `su`, finds it too.
    untold = ("env", "-u", "XDG_RUNTIME_DIR", sys.executable, "-m", "imgq", "red", "-l")
    assert account.manager.run(*untold).stdout == found.stdout
    idle = "idle: 1 files can be found"
    until(lambda: account.manager.shows("imgqd.service", "StatusText")["StatusText"] == idle)
    account.install()
    assert account.main_pid == first

    # It starts anew with other settings, in the same process, and on the same socket.
    assert account.imgq("config", "set", "rescan", "1800").returncode == 0
    assert account.manager.run("systemctl", "--user", "reload", "imgqd").returncode == 0
    found = account.imgq("red", "-l")
    assert (found.stdout, found.stderr) == (f"{pictures}/red.jpg\n", "")
    until(lambda: account.active() == ["active", "active"], "the service")
    assert account.main_pid == first

    # Killed, it comes back, and who asks meanwhile waits for it.
    account.manager.run("kill", "-KILL", str(first))
    found = account.imgq("red", "-l")
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{pictures}/red.jpg\n", "")
    second = account.main_pid
    assert second not in (0, first)

    assert account.imgq("stop").returncode == 0
    assert account.active() == ["inactive", "inactive"]
    assert account.imgq("red").returncode == 3
    assert "stopped, starts when you log in" in account.imgq("service", "status").stdout
    # Whose socket systemd holds, a daemon by hand is told so; who asks has the service started.
    account.manager.run("systemctl", "--user", "start", "imgqd.socket")
    by_hand = account.manager.run(str(account.folder / "imgqd"))
    assert (by_hand.returncode, "systemd listens on" in by_hand.stderr) == (4, True), by_hand.stderr
    assert account.imgq("red", "-l").stdout == f"{pictures}/red.jpg\n"
    assert account.imgq("stop").returncode == 0
    # As after a reboot, and a login.
    account.manager.run("systemctl", "--user", "start", "default.target")
    until(lambda: account.active() == ["active", "active"], "the service")
    assert account.imgq("stop").returncode == 0
    assert account.imgq("start").returncode == 0
    assert account.active() == ["active", "active"]
    assert account.imgq("restart").returncode == 0
    until(lambda: account.active() == ["active", "active"], "the service")

    removed = account.imgq("service", "uninstall")
    assert removed.returncode == 0, removed.stderr
    assert account.imgq("red").returncode == 3
    assert "not installed" in account.imgq("service", "status").stdout
    left = (account.folder / "home" / ".config" / "systemd").rglob("imgqd*")
    assert {path.name for path in left} <= {"imgqd.service.d"}


def test_it_says_why_it_does_not_start(account: Account) -> None:
    settings = account.folder / "home" / ".config" / "imgq" / "settings.toml"
    settings.write_text('modell = "builtin"\n')
    done = account.manager.run(sys.executable, "-c", INSTALL, os.fspath(account.folder / "imgqd"))
    assert "the service did not start: " in done.stderr
    assert "there is no setting 'modell'" in done.stderr
    removed = account.imgq("service", "uninstall")
    assert removed.returncode == 0, removed.stderr
