"""start, stop, restart, logs: the daemon in the background, and what becomes of it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import psutil
import pytest

import peers
import threads
from conftest import PATIENCE_S, Home, until
from imgq import lifetime, lock
from imgq.errors import CannotStart, NoDaemon, TimedOut
from imgq.paths import places
from imgqd import app
from pictures import jpeg


@pytest.fixture
def home(new_home: Callable[..., Home]) -> Iterator[Home]:
    """An empty home; what is started in it in the background is stopped."""
    home = new_home()
    yield home
    home.imgq("stop")


def answer(home: Home, *words: str) -> bytes:
    """What stands on stdout of a command that succeeds; nothing may stand on stderr."""
    done = home.imgq(*words)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def pids(home: Home) -> list[int]:
    return [process["pid"] for process in home.json("status")["processes"]]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lock_is_held() -> bool:
    try:
        with open(places().lock, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def test_from_start_to_stop(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    command = [sys.executable, "-m", "imgq", "start", ".", "--model", "builtin"]
    started = subprocess.run(
        command, cwd=home.pictures, env=home.environment, capture_output=True, timeout=PATIENCE_S
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, b"", b"")
    answer(home, "wait")
    assert answer(home, "red", "-l") == os.fsencode(home.pictures / "red.jpg") + b"\n"
    first = pids(home)

    # Once more changes nothing: the model is remembered, the folder is known.
    for words in (["start"], ["start", str(home.pictures)], ["start", "--model", "builtin"]):
        assert answer(home, *words) == b""
    assert pids(home)[0] == first[0]
    assert [root["path"] for root in home.json("roots")] == [str(home.pictures)]

    assert answer(home, "restart") == b""
    second = pids(home)
    assert not set(first) & set(second)
    assert not any(map(alive, first))
    answer(home, "wait")
    assert answer(home, "red", "-l") == os.fsencode(home.pictures / "red.jpg") + b"\n"
    assert home.embedded() == 1

    log = answer(home, "logs").splitlines()
    assert sum(b"imgqd answers, with the model builtin" in line for line in log) == 2
    assert answer(home, "logs", "-n", "1").splitlines() == log[-1:]
    assert answer(home, "logs", "--lines=0") == b""

    assert answer(home, "stop") == b""
    assert not any(map(alive, second))
    assert not lock_is_held()
    again = home.imgq("stop")
    assert (again.returncode, again.stdout) == (0, b"")
    assert again.stderr == b"imgq: no daemon was running\n"


def test_starts_at_the_same_moment_are_one(home: Home) -> None:
    with ThreadPoolExecutor(3) as pool:
        words = ("start", str(home.pictures), "--model", "builtin")
        starts = list(pool.map(lambda _: home.imgq(*words), range(3)))
    assert [(done.returncode, done.stderr) for done in starts] == [(0, b"")] * 3
    assert len(home.json("roots")) == 1


def test_start_keeps_nothing_of_the_caller_open(home: Home) -> None:
    """Every descriptor the caller has, standard streams or not, is its own again."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", "start", "--model", "builtin"],
        env=home.environment,
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=writing,
        pass_fds=(writing,),
    ) as start:
        os.close(writing)
        with open(reading, "rb") as pipe:
            assert pipe.read() == b""
    assert start.returncode == 0
    daemon = psutil.Process(home.status().pid)
    assert daemon.cwd() == "/"
    assert os.getsid(daemon.pid) == daemon.pid


def test_a_daemon_outlives_whoever_started_it_and_did_not_wait(home: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    daemon = home.spawn(writing)
    os.close(writing)
    until(lambda: home.imgq("wait").returncode == 0 or daemon.poll(), "an answer")
    assert home.imgq("status").returncode == 0
    assert home.stop() == 0


def test_what_cannot_be_started_leaves_nothing_running(home: Home) -> None:
    nowhere = home.imgq("start", "/nowhere", "--model", "builtin")
    assert (nowhere.returncode, nowhere.stdout) == (2, b"")
    assert nowhere.stderr.startswith(b"imgq: there is no folder '/nowhere'\n")
    home.settings("offline = true\n")
    missing = home.imgq("start", str(home.pictures), "--model", "fast")
    assert (missing.returncode, missing.stdout) == (4, b"")
    assert b"builtin" in missing.stderr
    home.settings("modell = 'fast'\n")
    wrong = home.imgq("start", str(home.pictures))
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert b"there is no setting 'modell'" in wrong.stderr
    for done in (nowhere, missing, wrong):
        assert b"Traceback" not in done.stderr
    assert not lock_is_held()


def test_a_service_that_would_not_start_is_not_installed(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    """And a daemon that was started by hand goes on."""
    home = new_home().start()
    home.settings("offline = true\n")
    # Where it is installed after all, no manager hears of it.
    home.environment |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": str(tmp_path)}
    done = home.imgq("service", "install")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"the weights of fast" in done.stderr
    assert b"`imgq config set offline false && imgq model pull fast` fetches them" in done.stderr
    assert not (tmp_path / "config").exists()
    assert home.status().state == "idle"


@pytest.mark.parametrize(
    "words",
    [
        ["red"], ["status"], ["status", "--json"], ["add", "/"], ["remove", "/"], ["roots"],
        ["wait"], ["errors"], ["info", "/"], ["files"], ["reindex"], ["red", "--wait"],
    ],
)  # fmt: skip
def test_without_a_daemon_there_is_a_sentence(home: Home, words: list[str]) -> None:
    done = home.imgq(*words)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr == (
        b"imgq: no daemon is running\n"
        b"hint: start one and watch a folder with `imgq start ~/Pictures`\n"
    )


def test_without_a_daemon_there_are_still_settings_and_no_logs(home: Home) -> None:
    assert answer(home, "config", "path")
    logs = home.imgq("logs")
    assert (logs.returncode, logs.stdout, logs.stderr) == (0, b"", b"imgq: there is no log yet\n")


def test_a_second_daemon_is_refused_and_the_first_goes_on(home: Home) -> None:
    home.start()
    second = subprocess.run(
        [sys.executable, "-m", "imgqd", "--model", "builtin"],
        env=home.environment,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert home.daemon
    assert (second.returncode, second.stdout) == (4, b"")
    assert f"another daemon is running (pid {home.daemon.pid})".encode() in second.stderr
    assert home.status().pid == home.daemon.pid

    # An empty index has listings, which are empty.
    for words in (["files"], ["errors"], ["roots"], ["files", "-0"]):
        assert answer(home, *words) == b""
    for words in (["files", "--json"], ["errors", "--json"], ["roots", "--json"]):
        assert answer(home, *words) == b"[]\n"

    # Killed, it leaves a socket behind, which is in nobody's way.
    home.kill()
    assert home.imgq("red").returncode == 3
    assert answer(home, "start") == b""


@pytest.mark.parametrize("words", [["status", "--watch"], ["logs", "-f"]])
def test_what_goes_on_ends_at_an_interrupt(home: Home, words: list[str]) -> None:
    home.start()
    Path(places().logs).mkdir(exist_ok=True)
    Path(places().log).write_text("imgq one\nimgq two\n")
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", *words],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        assert watching.stdout
        for _ in range(2):
            while not watching.stdout.readline().startswith(b"imgq "):
                assert watching.poll() is None
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=PATIENCE_S)
    assert (watching.returncode, said) == (130, b"")


def test_a_log_is_followed(home: Home) -> None:
    Path(places().logs).mkdir(parents=True)
    log = Path(places().log)
    log.write_text("one\ntwo\n")
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", "logs", "--follow", "-n1"],
        env=home.environment,
        stdout=subprocess.PIPE,
    ) as following:
        assert following.stdout
        assert following.stdout.readline() == b"two\n"
        with open(log, "a") as file:
            file.write("three\n")
        assert following.stdout.readline() == b"three\n"
        # As the daemon does with one that is long enough.
        log.rename(log.with_suffix(".1"))
        log.write_text("four\n")
        assert following.stdout.readline() == b"four\n"
        following.kill()


def test_a_log_goes_on_in_what_was_put_aside(home: Home) -> None:
    log = Path(places().log)
    log.parent.mkdir(parents=True)
    log.write_text("five\nsix\n")
    log.with_name(f"{log.name}.1").write_text("three\nfour\n")
    log.with_name(f"{log.name}.2").write_text("one\ntwo\n")
    told = [answer(home, "logs", "-n", str(number)).split() for number in range(8)]
    lines = b"one two three four five six".split()
    assert told == [[], *(lines[-number:] for number in range(1, 7)), lines]


OTHER_VERSION = """
import fcntl, os, sys, zmq
lock = open(sys.argv[1] + "/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print(os.getpid(), file=lock, flush=True)
with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
    router.bind(f"ipc://{sys.argv[1]}/socket")
    print("bound", flush=True)
    while True:
        peer, _ = router.recv_multipart()
        router.send_multipart([peer, bytes.fromhex(sys.argv[2])])
"""


def test_what_refuses_to_start_is_not_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock for a moment after its last word, as one does that another start began."""
    held: list[int] = []

    def launch() -> None:
        os.makedirs(places().runtime, mode=0o700)
        held.append(os.open(places().lock, os.O_RDWR | os.O_CREAT, 0o600))
        fcntl.flock(held[0], fcntl.LOCK_EX)
        raise CannotStart("its last word")

    def answers(timeout: float = 1.0) -> bool:
        if held:
            os.close(held.pop())
        return False

    def poll(condition: Callable[[], bool], timeout: float) -> bool:
        assert condition(), "it is waited for"
        return True

    monkeypatch.setattr(lifetime, "use_model", lambda name: None)
    for each in (launch, answers, poll):
        monkeypatch.setattr(lifetime, {"launch": "_launch"}.get(each.__name__, each.__name__), each)
    with pytest.raises(CannotStart, match="its last word"):
        lifetime.ensure()


class Threaded:
    """A part of the daemon with a thread of its own."""

    def start(self) -> None:
        threading.Thread(target=int).start()

    def stop(self) -> None:
        """The thread has ended by itself."""


def test_one_that_has_no_thread_refuses_to_start() -> None:
    with threads.refused(), pytest.raises(CannotStart, match="no thread left for imgqd"):
        app.begin(Threaded())


def test_a_daemon_that_hangs_is_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.start()
    jpeg(home.pictures / "red.jpg", "red")
    home.watch()
    home.settle()
    below = [psutil.Process(pid) for pid in pids(home)]
    home.suspend()
    monkeypatch.setattr(lifetime, "STOPPING_S", 0.3)
    monkeypatch.setattr(lifetime, "ENDING_S", 0.3)
    assert lifetime.end()
    assert home.daemon is not None
    assert home.daemon.wait(PATIENCE_S) == -signal.SIGKILL
    _, left = psutil.wait_procs(below, PATIENCE_S)
    assert left == []
    assert not lifetime.end()


def test_a_daemon_that_ended_as_it_was_given_up_has_ended(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended_unheard(*_: object) -> None:
        home.kill()
        raise TimedOut("the daemon did not answer")

    home.start()
    monkeypatch.setattr(lifetime, "ask", ended_unheard)
    assert lifetime.end()


def test_whose_daemon_is_another_users_is_told_what_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(lock, "open", refuse, raising=False)
    with pytest.raises(NoDaemon, match="Permission denied") as caught:
        lifetime.end()
    assert "XDG_RUNTIME_DIR" in caught.value.hint


def test_a_daemon_of_before_the_login_is_asked_and_ended(home: Home) -> None:
    """Started by cron at boot it has its socket at home, and a shell is told of another place."""
    with tempfile.TemporaryDirectory(prefix="imgq-", dir="/tmp") as short:
        del home.environment["IMGQ_HOME"]
        home.environment |= {"HOME": short, "XDG_STATE_HOME": short}
        for name in ("RUNTIME_DIR", "CONFIG_HOME", "DATA_HOME"):
            home.environment.pop(f"XDG_{name}", None)
        daemon = home.start().daemon
        assert daemon is not None
        home.environment["XDG_RUNTIME_DIR"] = f"{short}/told"
        os.mkdir(f"{short}/told", 0o700)
        assert answer(home, "roots") == b""
        assert answer(home, "start", str(home.pictures)) == b""
        assert home.json("status")["pid"] == daemon.pid
        assert answer(home, "stop") == b""
        assert daemon.wait(PATIENCE_S) == 0
        assert answer(home, "start") == b""
        assert os.listdir(f"{short}/told/imgq")
        assert answer(home, "stop") == b""


def test_a_daemon_of_another_version_is_told_and_can_be_stopped() -> None:
    with peers.address() as path:
        reply = msgpack.packb([99, 1, "another form"]).hex()
        old = subprocess.Popen(
            [sys.executable, "-c", OTHER_VERSION, os.path.dirname(path), reply],
            stdout=subprocess.PIPE,
        )
        with old:
            assert old.stdout
            assert old.stdout.readline()
            environment = os.environ | {"IMGQ_SOCKET": f"ipc://{path}"}
            imgq = [sys.executable, "-m", "imgq"]
            asked = subprocess.run([*imgq, "red"], env=environment, capture_output=True)
            stopped = subprocess.run([*imgq, "stop"], env=environment, capture_output=True)
            old.kill()
            assert old.wait() == -signal.SIGTERM
    assert (asked.returncode, asked.stdout) == (5, b"")
    assert b"protocol 99" in asked.stderr
    assert b"`imgq restart` after an update" in asked.stderr
    assert (stopped.returncode, stopped.stderr) == (0, b"")
