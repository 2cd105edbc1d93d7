"""imgqd as a service: what is written, and what is asked of the service manager."""

from __future__ import annotations

import os
import plistlib
import shutil
import stat
from pathlib import Path

import pytest

from fake_manager import LAUNCHCTL, SYSTEMCTL, Manager
from imgq import service
from imgq.errors import Refused
from imgq.paths import places
from test_units import analyze, check_agent, values

LINUX, MACOS = "linux", "darwin"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    programs, folder = tmp_path / "programs", tmp_path / "manager"
    for each in (programs, folder, tmp_path / "home"):
        each.mkdir()
    for name, script in (("systemctl", SYSTEMCTL), ("launchctl", LAUNCHCTL)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
        monkeypatch.delenv(f"XDG_{name}", raising=False)
    monkeypatch.delenv("IMGQ_HOME", raising=False)
    monkeypatch.setattr("imgq.paths._RUN_USER", str(tmp_path))
    (folder / "calls").touch()
    return Manager(folder)


def program_in(folder: Path) -> str:
    program = folder / "imgqd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def imgqd(tmp_path: Path) -> str:
    return program_in(tmp_path / "a %h $x")


def unit_of(home: str, platform: str) -> Path:
    linux = ".config/systemd/user/imgqd.service"
    return Path(home, linux if platform == LINUX else "Library/LaunchAgents/org.imgq.imgqd.plist")


@pytest.mark.parametrize(
    "name", ["plain", "a b", "%h %%", "$HOME ${x}", "it's", '"\\n\\', "\u00e9"]
)
def test_systemd_takes_the_installed_unit_at_any_path(
    manager: Manager, name: str, tmp_path: Path
) -> None:
    service.install(program_in(tmp_path / name), LINUX)
    unit = unit_of(os.environ["HOME"], LINUX)
    done = analyze(tmp_path, "--man=no", "verify", str(unit), str(unit.with_suffix(".socket")))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_ten_installs_are_one(manager: Manager, imgqd: str, platform: str) -> None:
    home = os.environ["HOME"]
    service.install(imgqd, platform)
    unit = unit_of(home, platform)
    written, before = unit.read_bytes(), unit.stat()
    verbs = "daemon-reload", "enable", "stop", "stop", "reset-failed", "start"
    called = [call.removeprefix("--user ").split()[0] for call in manager.calls()]
    assert called == (list(verbs) if platform == LINUX else ["enable", "bootstrap"])
    for _ in range(9):
        said = service.install(imgqd, platform)
        assert str(unit) in said
        again = manager.calls()
        # What runs is not ended for nothing.
        assert not [call for call in again if " stop " in call or call.startswith("bootout")]
    assert (unit.read_bytes(), unit.stat().st_ino) == (written, before.st_ino)
    assert stat.S_IMODE(before.st_mode) == 0o644
    units = {unit.name} | ({"imgqd.socket"} if platform == LINUX else set())
    assert set(os.listdir(unit.parent)) == units
    assert service.status(platform).words == "running, starts when you log in"


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_ten_uninstalls_are_one(manager: Manager, imgqd: str, platform: str) -> None:
    assert service.uninstall(platform) == "there is no service to uninstall"
    service.install(imgqd, platform)
    unit = unit_of(os.environ["HOME"], platform)
    assert str(unit) in service.uninstall(platform)
    for _ in range(9):
        assert service.uninstall(platform) == "there is no service to uninstall"
    assert os.listdir(unit.parent) == []
    assert not {"running", "enabled", "loaded"} & set(os.listdir(manager.folder))
    after = service.status(platform)
    assert (after.installed, after.enabled, after.running) == (False, False, False)


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_another_program_is_started_anew(
    manager: Manager, imgqd: str, platform: str, tmp_path: Path
) -> None:
    service.install(imgqd, platform)
    manager.calls()
    other = shutil.copy(imgqd, tmp_path / "imgqd")
    service.install(str(other), platform)
    calls = manager.calls()
    ended = "--user stop imgqd.service" if platform == LINUX else "bootout gui/"
    begun = "--user start imgqd.socket imgqd.service" if platform == LINUX else "bootstrap gui/"
    order = [call for call in calls if call.startswith((ended, begun))]
    assert [call.startswith(begun) for call in order] == [False, True]
    assert str(other).encode() in unit_of(os.environ["HOME"], platform).read_bytes()


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_start_and_stop_leave_it_enabled(manager: Manager, imgqd: str, platform: str) -> None:
    service.install(imgqd, platform)
    for _ in range(2):
        service.stop(platform)
        assert service.status(platform).words == "stopped, starts when you log in"
    for _ in range(2):
        service.start(platform)
        assert service.status(platform).words == "running, starts when you log in"


def test_the_folders_of_the_daemon_are_made_and_named(
    manager: Manager, imgqd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / 'my %h "$x" \\ home'
    monkeypatch.setenv("IMGQ_HOME", str(home))
    service.install(imgqd, LINUX)
    for name in ("index", "models", "logs", "run"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700
    unit = unit_of(os.environ["HOME"], LINUX)
    quoted = str(home).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert values(unit, "Environment") == [f'"IMGQ_HOME={quoted}"']
    assert f'"{quoted}/index"' in values(unit, "ReadWritePaths")[0]
    assert f'"{quoted}/index"'.replace("$", "$$") in values(unit, "ExecStartPre")[0]
    assert len(values(unit, "ExecStart")) == 1
    listens = values(unit.with_suffix(".socket"), "ListenStream")
    assert listens == [places().socket.replace("%", "%%")]


def test_the_agent_is_filled_in(
    manager: Manager, imgqd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.install(imgqd, MACOS)
    unit = unit_of(os.environ["HOME"], MACOS)
    agent = plistlib.loads(unit.read_bytes())
    check_agent(agent)
    assert agent["ProgramArguments"] == [imgqd]
    assert "EnvironmentVariables" not in agent
    assert stat.S_IMODE(os.stat(os.path.dirname(agent["StandardErrorPath"])).st_mode) == 0o700
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "elsewhere"))
    service.install(imgqd, MACOS)
    agent = plistlib.loads(unit.read_bytes())
    check_agent(agent)
    assert agent["EnvironmentVariables"] == {"IMGQ_HOME": str(tmp_path / "elsewhere")}
    assert agent["StandardErrorPath"].startswith(str(tmp_path / "elsewhere"))


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_it_is_in_charge_of_its_own_places_only(
    manager: Manager, imgqd: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not service.in_charge(platform)
    service.install(imgqd, platform)
    assert service.in_charge(platform)
    monkeypatch.setenv("IMGQ_HOME", "/somewhere/else")
    assert service.installed(platform)
    assert not service.in_charge(platform)
    assert service.status(platform).words.endswith("; for other folders than these")
    monkeypatch.delenv("IMGQ_HOME")
    manager.knows("absent")
    assert not service.in_charge(platform)


def test_other_xdg_folders_are_other_places(
    manager: Manager, imgqd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    service.install(imgqd, LINUX)
    unit = unit_of(os.environ["HOME"], LINUX)
    assert values(unit, "Environment") == [f'"XDG_DATA_HOME={tmp_path}/data"']
    assert service.in_charge(LINUX)
    monkeypatch.delenv("XDG_DATA_HOME")
    assert not service.in_charge(LINUX)


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_without_a_manager_it_is_written_and_said(
    manager: Manager, imgqd: str, platform: str
) -> None:
    manager.knows("absent")
    unit = unit_of(os.environ["HOME"], platform)
    with pytest.raises(Refused, match=r"is written, but .* so it is not enabled") as refused:
        service.install(imgqd, platform)
    assert refused.value.exit_code == 4
    assert "imgq start" in refused.value.hint
    assert unit.exists()
    assert service.status(platform).words.startswith("installed, but ")
    assert str(unit) in service.uninstall(platform)
    assert not unit.exists()


@pytest.mark.parametrize("platform", [LINUX, MACOS])
def test_the_same_without_the_managers_program(
    manager: Manager, imgqd: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="is written"):
        service.install(imgqd, platform)
    assert not service.in_charge(platform)
    service.uninstall(platform)


@pytest.mark.parametrize("platform", [LINUX, MACOS])
@pytest.mark.parametrize("program", ["imgqd", "/nowhere/imgqd", __file__])
def test_what_cannot_run_is_not_installed(manager: Manager, platform: str, program: str) -> None:
    with pytest.raises(Refused, match="there is no program"):
        service.install(program, platform)
    assert not service.installed(platform)


@pytest.mark.parametrize("platform", [LINUX, MACOS])
@pytest.mark.parametrize("name", ["a\x01\nExecStartPre=b", "caf\udce9"])
def test_a_path_that_no_unit_can_hold(
    manager: Manager, tmp_path: Path, platform: str, name: str
) -> None:
    with pytest.raises(Refused, match="takes no"):
        service.install(program_in(tmp_path / name), platform)
    assert not service.installed(platform)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("ExecMainStatus=4\nStatusText=the index is newer than this imgq\n", "the index is newer"),
        ("ExecMainStatus=1\nStatusText=\n", "Job for imgqd.service failed"),
        ("ExecMainStatus=217\nStatusText=\n", "no sandbox"),
    ],
)
def test_it_says_why_the_service_did_not_start(
    manager: Manager, imgqd: str, shown: str, words: str
) -> None:
    manager.knows("failing", shown)
    with pytest.raises(Refused, match=words) as refused:
        service.install(imgqd, LINUX)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("shown", "runs"),
    [
        ("ActiveState=activating\nSubState=auto-restart\nNRestarts=0\n", False),
        ("ActiveState=activating\nSubState=auto-restart-queued\nNRestarts=1\n", False),
        ("ActiveState=activating\nSubState=start\nNRestarts=2\n", False),
        ("ActiveState=activating\nSubState=start\nNRestarts=0\n", True),
        ("ActiveState=active\nSubState=running\nNRestarts=4\n", True),
    ],
)
def test_what_starts_again_and_again_does_not_run(
    manager: Manager, imgqd: str, shown: str, runs: bool
) -> None:
    service.install(imgqd, LINUX)
    manager.knows("looping", shown)
    now = service.status(LINUX)
    assert (now.running, "again and again (`journalctl" in now.words) == (runs, not runs)
    assert now.words.endswith("starts when you log in")


def test_an_unknown_system_is_told_so() -> None:
    assert not service.installed("freebsd14")
    assert not service.in_charge("freebsd14")
    for ask in (service.status, service.uninstall, service.start, service.stop):
        with pytest.raises(Refused, match="no service manager of freebsd14"):
            ask("freebsd14")


def test_a_file_in_the_way_of_the_folder_is_named(manager: Manager, imgqd: str) -> None:
    Path(os.environ["HOME"], ".config").touch()
    with pytest.raises(Refused, match=r"cannot make the folder .*\.config"):
        service.install(imgqd, LINUX)
