"""Where things lie, by the environment."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from imgq.errors import UsageError
from imgq.paths import LONGEST_SOCKET, absolute, places, socket_address


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("XDG_", "IMGQ_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("imgq.paths._RUN_USER", str(tmp_path))


@pytest.fixture
def logged_in(tmp_path: Path) -> Path:
    """The folder of a daemon that was told of the runtime folder."""
    folder = tmp_path / str(os.getuid()) / "imgq"
    folder.parent.mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    return folder


def test_on_linux_they_follow_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    monkeypatch.setenv("XDG_DATA_HOME", "/d")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    where = places()
    assert where.settings == "/c/imgq/settings.toml"
    assert where.store == "/d/imgq/index.db"
    assert where.models == "/d/imgq/models"
    assert where.log == "/s/imgq/imgqd.log"
    assert where.socket == "/run/user/7/imgq/socket"
    assert where.lock == "/run/user/7/imgq/lock"


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_what_xdg_leaves_out_has_a_place(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
            monkeypatch.setenv(f"XDG_{name}", value)
    where = places()
    assert where.settings == "/home/me/.config/imgq/settings.toml"
    assert where.store == "/home/me/.local/share/imgq/index.db"
    assert where.log == "/home/me/.local/state/imgq/imgqd.log"
    assert where.socket == "/home/me/.local/state/imgq/run/socket"


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_a_shell_that_was_not_told_of_the_runtime_folder_asks_there(
    monkeypatch: pytest.MonkeyPatch, logged_in: Path, value: str | None
) -> None:
    """As one of cron."""
    if value is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    assert places().socket == f"{logged_in}/socket"


def test_a_shell_that_was_told_goes_where_it_was_told(
    monkeypatch: pytest.MonkeyPatch, logged_in: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert places().socket == "/run/user/7/imgq/socket"


def test_a_daemon_of_before_the_login_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of one that was started by cron, at boot."""
    with TemporaryDirectory(prefix="imgq-", dir="/tmp") as short:
        told, at_home = Path(short, "7"), Path(short, "imgq", "run")
        monkeypatch.setenv("XDG_STATE_HOME", short)
        monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(told))
        assert places().runtime == f"{told}/imgq"
        at_home.mkdir(parents=True)
        at_home.chmod(0o700)
        with open(at_home / "lock", "wb") as lock:
            assert places().runtime == f"{told}/imgq"
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert places().socket == f"{at_home}/socket"
            at_home.chmod(0o720)
            assert places().runtime == f"{told}/imgq"
            at_home.chmod(0o700)
            (told / "imgq").mkdir(parents=True)
            (told / "imgq" / "socket").touch()
            assert places().runtime == f"{told}/imgq"


@pytest.mark.parametrize("what", ["none", "link", "open", "open above", "another user's"])
def test_it_asks_in_no_folder_but_its_own(
    monkeypatch: pytest.MonkeyPatch, logged_in: Path, what: str
) -> None:
    if what == "none":
        logged_in.rmdir()
    elif what == "link":
        logged_in.rename(logged_in.with_name("elsewhere"))
        logged_in.symlink_to("elsewhere")
    elif what == "open":
        logged_in.chmod(0o720)
    elif what == "open above":
        logged_in.parent.chmod(0o777)
    else:
        logged_in.parent.rename(logged_in.parent.with_name(str(os.getuid() + 1)))
        somebody = os.getuid() + 1
        monkeypatch.setattr("imgq.paths.os.getuid", lambda: somebody)
    assert places().socket == "/home/me/.local/state/imgq/run/socket"


def test_on_macos_they_are_in_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    where = places()
    support = "/home/me/Library/Application Support/imgq"
    assert where.settings == f"{support}/settings.toml"
    assert where.store == f"{support}/index.db"
    assert where.log == "/home/me/Library/Logs/imgq/imgqd.log"
    assert where.socket == f"{support}/run/socket"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_one_folder_holds_everything(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("IMGQ_HOME", "/x/y")
    where = places()
    everything = [where.settings, where.store, where.models, where.log, where.lock, where.socket]
    everything.append(where.keys)
    assert [path for path in everything if not path.startswith("/x/y/")] == []
    assert len(set(everything)) == len(everything)
    assert set(where.own) == {f"/x/y/{name}" for name in ("index", "models", "logs", "run", "keys")}


def test_a_relative_folder_is_meant_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGQ_HOME", "here")
    assert places().settings == str(tmp_path / "here" / "settings.toml")


def home_with_a_socket_of(length: int) -> str:
    return "/" + "x" * (length - len("//run/socket"))


def test_a_socket_is_at_home_as_long_as_its_path_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_with_a_socket_of(LONGEST_SOCKET)
    monkeypatch.setenv("IMGQ_HOME", home)
    assert places().socket == f"{home}/run/socket"
    assert len(os.fsencode(places().socket)) == LONGEST_SOCKET


@pytest.mark.parametrize("home", [home_with_a_socket_of(LONGEST_SOCKET + 1), "/" + "\u00e9" * 60])
def test_a_socket_too_deep_goes_to_a_short_folder(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("IMGQ_HOME", home)
    where = places()
    assert where.socket.startswith(f"/tmp/imgq-{os.getuid()}-")
    assert len(where.socket) <= LONGEST_SOCKET
    assert os.path.dirname(where.lock) == os.path.dirname(where.socket)
    assert where == places()
    assert where.store.startswith(home)
    monkeypatch.setenv("IMGQ_HOME", home + "2")
    assert places().socket != where.socket


def test_a_folder_whose_name_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"IMGQ_HOME", b"/caf\xe9")
    assert os.fsencode(places().socket) == b"/caf\xe9/run/socket"


def test_the_client_can_be_pointed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGQ_HOME", "/x")
    assert socket_address() == "ipc:///x/run/socket"
    monkeypatch.setenv("IMGQ_SOCKET", "ipc:///y/socket")
    assert socket_address() == "ipc:///y/socket"
    monkeypatch.setenv("IMGQ_SOCKET", "")
    assert socket_address() == "ipc:///x/run/socket"


def test_asking_where_makes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "home"))
    places()
    assert list(tmp_path.iterdir()) == []


def test_no_path_is_not_the_folder_one_is_in() -> None:
    """As of a variable that is not set: `imgq remove "$FOLDER"`."""
    with pytest.raises(UsageError, match="a path is empty"):
        absolute("")


def test_a_relative_path_keeps_the_name_the_person_came_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "Pictures").symlink_to(tmp_path / "disk")
    monkeypatch.chdir(tmp_path / "Pictures")
    monkeypatch.setenv("PWD", str(tmp_path / "Pictures"))
    assert absolute("a/../b") == os.fsencode(tmp_path / "Pictures" / "b")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert absolute("b") == os.fsencode(tmp_path / "disk" / "b")
