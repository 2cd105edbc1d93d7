"""The unit files of both managers, as those managers read them."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import imgq
from imgq.service import unit_files

REPOSITORY = Path(__file__).resolve().parent.parent
UNIT = REPOSITORY / "systemd" / "imgqd.service"
SOCKET = REPOSITORY / "systemd" / "imgqd.socket"
AGENT = REPOSITORY / "launchd" / "org.imgq.imgqd.plist"


def values(unit: Path, key: str) -> list[str]:
    lines = unit.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def analyze(tmp_path: Path, *words: str, scope: str = "--user") -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "LC_ALL": "C"}
    return subprocess.run(
        ["systemd-analyze", scope, *words], capture_output=True, text=True, env=environment
    )


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    # It exits with 0 even where it knows a key not at all.
    done = analyze(tmp_path, "--man=no", "verify", str(UNIT))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_has_nothing_to_say_against_the_socket(tmp_path: Path) -> None:
    done = analyze(tmp_path, "--man=no", "verify", str(SOCKET), str(UNIT))
    assert (done.returncode, done.stderr) == (0, "")
    for key, expected in (
        ("SocketMode", "0600"),
        ("DirectoryMode", "0700"),
        ("RemoveOnStop", "yes"),
    ):
        assert values(SOCKET, key) == [expected]


def exposure(tmp_path: Path, unit: Path, scope: str) -> float:
    """How much systemd thinks a service lays open, of 10."""
    done = analyze(tmp_path, "security", "--offline=yes", "--no-pager", str(unit), scope=scope)
    found = re.search(r"exposure level for imgqd\.service: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    assert exposure(tmp_path, UNIT, "--user") <= 2.5


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Type", "notify"),
        ("ExecReload", "/usr/bin/env kill -HUP $MAINPID"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2 4"),
        ("KillMode", "mixed"),
        ("OOMPolicy", "continue"),
        ("Slice", "background.slice"),
        ("UMask", "0077"),
        ("PrivateUsers", "yes"),
        ("WantedBy", "default.target"),
        ("Also", "imgqd.socket"),
        ("Wants", "imgqd.socket"),
        ("WatchdogSec", "900"),
        ("LimitCORE", "0"),
    ],
)
def test_the_unit_says_once(key: str, expected: str) -> None:
    assert values(UNIT, key) == [expected]


def test_the_unit_leaves_the_gpu_and_the_pictures_in_reach() -> None:
    for key in ("PrivateDevices", "MemoryDenyWriteExecute", "PrivateTmp", "PrivateNetwork"):
        assert not values(UNIT, key)
    assert values(UNIT, "ProtectHome") == ["read-only"]


PLIST_KEYS: dict[str, type] = {
    "Label": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "LowPriorityIO": bool,
    "Nice": int,
    "SoftResourceLimits": dict,
    "Umask": int,
    "WorkingDirectory": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}


def check_agent(agent: dict[str, Any]) -> None:
    assert {key: type(value) for key, value in agent.items()}.items() <= PLIST_KEYS.items()
    assert agent["Label"] == "org.imgq.imgqd"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ProcessType"] == "Background"
    assert agent["Umask"] == 0o077
    (program,) = agent["ProgramArguments"]
    assert os.path.basename(program) == "imgqd"
    paths = (program, *(agent[f"Standard{name}Path"] for name in ("Out", "Error")))
    assert all(os.path.isabs(path) and "~" not in path for path in paths)


def test_the_agent_has_known_keys_of_the_right_types() -> None:
    check_agent(plistlib.loads(AGENT.read_bytes()))


@pytest.mark.parametrize("name", ["imgqd.service", "imgqd.socket", "org.imgq.imgqd.plist"])
def test_unit_files_come_from_the_package_or_the_checkout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "systemd" if name.startswith("imgqd") else "launchd"
    assert unit_files.template(folder, name) == (REPOSITORY / folder / name).read_bytes()
    units = tmp_path / "imgq" / "units"
    units.mkdir(parents=True)
    (units / name).write_bytes(b"out of the wheel")
    monkeypatch.setattr(imgq, "__file__", str(tmp_path / "imgq" / "__init__.py"))
    assert unit_files.template(folder, name) == b"out of the wheel"
