"""The private folder, the lock and the socket itself: who may come in, and what is not touched."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import Home
from imgq import lifetime, wire
from imgq.doctor import machine
from imgq.errors import CannotStart
from imgq.paths import places
from imgqd.serve import door
from imgqd.serve.server import Server
from served import PATIENCE_S, Answers, Client, place, roots


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Holds the daemon's lock for a while."""
    descriptor = door.lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return place(tmp_path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_socket_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, answers: Answers, umask: int
) -> None:
    path = os.fspath(tmp_path / "run" / "socket")
    before = os.umask(umask)
    try:
        with locked(os.fspath(tmp_path / "run" / "lock")):
            server = Server(path, answers)
            server.start()
            assert stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0
            assert stat.S_IMODE(os.lstat(tmp_path / "run").st_mode) == 0o700
            assert stat.S_IMODE(os.lstat(tmp_path / "run" / "lock").st_mode) == 0o600
            server.stop()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_a_socket_that_a_killed_daemon_left_is_taken_over(path: str, answers: Answers) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    server = Server(path, answers)
    server.start()
    client = Client(path)
    assert roots(client)
    client.close()
    server.stop()


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_socket_that_somebody_listens_to_is_refused_and_not_touched(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    """Also by one who is too busy to let anybody in."""
    monkeypatch.setattr(door, "_LISTENS_S", 0.0)
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as first:
        living.bind(path)
        living.listen(0)
        if waiting:
            first.connect(path)
        before = os.lstat(path)
        with pytest.raises(CannotStart, match="is listened to") as caught:
            Server(path, answers).start()
        assert os.lstat(path) == before
    # Whom a full line keeps out is told nothing of who is at its end.
    assert (f" by process {os.getpid()} (" in caught.value.message) == (not waiting)


def test_a_socket_that_systemd_holds_is_named_as_such(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "name", lambda process: "systemd" * (process == os.getpid()))
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(path)
        held.listen()
        with pytest.raises(CannotStart, match="systemd listens on") as caught:
            Server(path, answers).start()
    assert "systemctl --user stop imgqd.socket imgqd" in caught.value.hint


def test_one_that_is_about_to_end_is_waited_for(path: str, answers: Answers) -> None:
    def hear_and_end() -> None:
        with ending:
            ending.accept()[0].close()

    ending = socket.socket(socket.AF_UNIX)
    ending.settimeout(PATIENCE_S)
    ending.bind(path)
    ending.listen()
    thread = threading.Thread(target=hear_and_end)
    thread.start()
    server = Server(path, answers)
    server.start()
    thread.join()
    client = Client(path)
    assert roots(client)
    client.close()
    server.stop()


def test_a_daemon_whose_lock_was_removed_is_left_in_charge(home: Home) -> None:
    """The other is refused before it looks for a model, and touches settings and index."""
    before = home.status().pid
    os.unlink(places().lock)
    done = subprocess.run(
        [sys.executable, "-m", "imgqd", "--model", "fast"],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, "is listened to" in done.stderr) == (4, True)
    assert home.status().pid == before


@pytest.mark.parametrize("what", ["file", "link to a file", "link to a socket", "folder"])
def test_what_else_lies_there_is_refused_and_not_touched(
    path: str, answers: Answers, tmp_path: Path, what: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("a novel")
    if what == "file":
        Path(path).write_text("a novel")
    elif what == "folder":
        Path(path).mkdir()
    elif what == "link to a file":
        os.symlink(precious, path)
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(tmp_path / "other"))
        os.symlink(tmp_path / "other", path)
    before = os.lstat(path)
    with pytest.raises(CannotStart, match="in the way"):
        Server(path, answers).start()
    assert os.lstat(path) == before
    assert precious.read_text() == "a novel"


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_takes_its_place_meanwhile_is_not_taken_away(
    path: str, answers: Answers, make: Callable[[Path], None]
) -> None:
    server = Server(path, answers)
    server.start()
    try:
        os.unlink(path)
        make(Path(path))
    finally:
        server.stop()
    assert os.path.lexists(path)


def test_a_socket_of_somebody_else_is_refused(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
    monkeypatch.setattr(door.os, "getuid", lambda: os.stat(path).st_uid + 1)
    with pytest.raises(CannotStart, match="not a socket of this user"):
        Server(path, answers).start()
    assert os.path.exists(path)


def test_a_path_that_cannot_be_bound_is_said_to_be(tmp_path: Path, answers: Answers) -> None:
    with pytest.raises(CannotStart, match="nothing can be bound"):
        Server(os.fspath(tmp_path / ("x" * 120)), answers).start()


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o722])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CannotStart, match="not a private folder"):
        door.lock(os.fspath(folder / "lock"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    if what == "file":
        (tmp_path / "run").touch(mode=0o600)
    else:
        (tmp_path / "run").symlink_to("there")
    with pytest.raises(CannotStart, match="not a private folder") as caught:
        door.lock(os.fspath(tmp_path / "run" / "lock"))
    # By a link another folder's mode would be changed.
    assert "chmod" not in caught.value.hint


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(door.os, "getuid", lambda: os.stat(folder).st_uid + 1)
    with pytest.raises(CannotStart, match="not a private folder"):
        door.lock(os.fspath(folder / "lock"))


@pytest.fixture
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """XDG_RUNTIME_DIR, in which the socket's folder is to be."""
    folder = tmp_path / "x"
    folder.mkdir(mode=0o700)
    monkeypatch.delenv("IMGQ_HOME", raising=False)
    monkeypatch.delenv("IMGQ_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(folder))
    monkeypatch.setattr("sys.platform", "linux")
    return folder


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_runtime_folder_that_others_may_write_to_is_refused(above: Path, mode: int) -> None:
    above.chmod(mode)
    with pytest.raises(CannotStart, match="others may write there") as refused:
        door.lock(places().lock)
    assert list(above.iterdir()) == []
    verdict = machine._socket()
    assert (verdict.state, verdict.found) == ("wrong", refused.value.message)
    subprocess.run(verdict.remedy.split("`")[1], shell=True, check=True)
    with locked(places().lock):
        assert machine._socket().state == "ok"


def test_nobody_is_told_to_close_a_folder_that_is_meant_for_all(above: Path) -> None:
    above.chmod(0o1777)
    with pytest.raises(CannotStart, match="others may write there") as refused:
        door.lock(places().lock)
    assert "chmod" not in refused.value.hint
    assert machine._socket().remedy == refused.value.hint


def test_a_runtime_folder_that_is_not_there_is_made_for_its_owner_alone(above: Path) -> None:
    above.rmdir()
    before = os.umask(0)
    try:
        with locked(places().lock):
            assert stat.S_IMODE(above.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_runtime_folder_that_others_may_read_is_used(above: Path) -> None:
    above.chmod(0o755)
    with locked(places().lock):
        assert machine._socket().state == "ok"


def test_a_runtime_folder_of_somebody_else_is_refused(
    above: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.stat(above).st_uid
    with monkeypatch.context() as other:
        other.setattr(door.os, "getuid", lambda: owner + 1)
        with pytest.raises(CannotStart, match="that is another user's") as refused:
            door.lock(places().lock)
        assert machine._socket().found == refused.value.message
    assert list(above.iterdir()) == []


def test_with_a_home_the_runtime_folder_is_not_looked_at(
    above: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above.chmod(0o777)
    monkeypatch.setenv("IMGQ_HOME", os.fspath(above))
    with locked(places().lock):
        assert machine._socket().state == "ok"


def test_imgq_start_does_not_come_as_far_as_a_model_there(
    above: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor as far as the lock, which another user's folder may not even let it look at."""
    above.chmod(0o770)
    monkeypatch.setattr(lifetime, "use_model", lambda name: pytest.fail("a model is looked for"))
    with pytest.raises(CannotStart, match="others may write there"):
        lifetime.ensure()


@pytest.mark.skipif(sys.platform == "darwin", reason="the socket lies in ~/Library there")
def test_the_daemon_does_not_start_in_an_open_runtime_folder(above: Path) -> None:
    above.chmod(0o770)
    home = above.parent / "home"
    done = subprocess.run(
        [sys.executable, "-m", "imgqd", "--model", "builtin"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "XDG_RUNTIME_DIR": os.fspath(above),
            "HOME": os.fspath(home),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, "others may write there" in done.stderr) == (4, True)
    assert list(above.iterdir()) == []


@pytest.mark.parametrize("what", ["a link at the lock", "a file above"])
def test_a_lock_that_cannot_be_had_is_said_to_be(tmp_path: Path, what: str) -> None:
    if what == "a file above":
        (tmp_path / "home").touch()
        path = tmp_path / "home" / "run" / "lock"
    else:
        path = tmp_path / "run" / "lock"
        path.parent.mkdir(mode=0o700)
        path.symlink_to(tmp_path / "precious")
    with pytest.raises(CannotStart, match="cannot be had"):
        door.lock(os.fspath(path))
    assert not (tmp_path / "precious").exists()


def test_a_second_lock_is_refused_and_names_who_has_the_first(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "run" / "lock")
    ask = (
        "import sys; from imgqd.serve import door; from imgq.errors import Failure\n"
        "try: door.lock(sys.argv[1])\n"
        "except Failure as failure: print(failure.exit_code, failure.message)"
    )
    with locked(path):
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", ask, path], capture_output=True, text=True, check=True
            )
            assert done.stdout.split()[0] == "4"
            assert f"pid {os.getpid()}" in done.stdout
    with locked(path):
        pass


HANDED_OVER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from imgq import lifetime, wire
from imgqd.serve.server import Server
server = Server(sys.argv[1], lambda request: iter([wire.Roots(roots=())]))
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
# A daemon that starts anew finds it where it was.
os.fstat(3)
"""


def test_a_listening_socket_that_is_handed_over_is_used_and_left(path: str) -> None:
    """As systemd's socket units do it: descriptor 3, and who waits on it is answered."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(16)
        waiting = Client(path)
        waiting.send(wire.pack_request(wire.AskRoots(), 1))
        inode = os.lstat(path).st_ino

        def hand_over() -> None:
            os.dup2(listening.fileno(), 3)

        child = subprocess.Popen(
            [sys.executable, "-c", HANDED_OVER, path],
            env=os.environ | {"LISTEN_FDS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(3,),
            preexec_fn=hand_over,
        )
        assert isinstance(waiting.receive()[2], wire.Roots)
        assert os.lstat(path).st_ino == inode
        child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0
        assert os.lstat(path).st_ino == inode
        waiting.close()


def test_a_socket_of_another_place_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.other")
        monkeypatch.setattr(door, "_HANDED_OVER", listening.fileno())
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        with pytest.raises(CannotStart, match=r"listens at .*\.other, and clients ask at"):
            door.opened(path)


def test_a_descriptor_handed_to_another_process_is_not_ours(
    path: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    server = Server(path, answers)
    server.start()
    client = Client(path)
    assert roots(client)
    client.close()
    server.stop()
