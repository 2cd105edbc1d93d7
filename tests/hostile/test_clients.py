"""FAULTS 67 to 69: what a client meets that asks a daemon which is not there, busy, or ends meanwhile.

Peers that are no daemon are in test_client and test_zmtp; how long each of these takes is measured by
benchmarks/hostile.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgpack
import psutil
import pytest
from strangers import address, is_running, root_only, somebody_else, soon, watching

import peers
from conftest import PATIENCE_S, Home, until
from imgq import client, wire
from imgq.wire import MOST_PICTURE
from imgq.zmtp import Dealer
from imgqd.serve.lanes import PATIENT_THREADS
from pictures import encoded, painted
from served import Client

RED = encoded(painted("red"), "JPEG")
# No answer takes longer, though fifty wait for one.
CROWDED_S = 10.0


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """The sentence on stderr; a hint may follow on a line of its own."""
    sentence, *rest = done.stderr.decode().splitlines()
    assert sentence.startswith("imgq: ")
    assert all(line.startswith("hint: ") for line in rest)
    assert len(rest) < 2
    return sentence


def test_fault_67_a_daemon_that_is_not_there(new_home: Callable[..., Home]) -> None:
    done = new_home().imgq("red")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "no daemon is running" in one_line(done)


def test_fault_67_a_daemon_that_stands_still(home: Home) -> None:
    assert home.daemon
    home.suspend()
    try:
        done = home.imgq("red", "--timeout", "0.5")
    finally:
        home.daemon.send_signal(signal.SIGCONT)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "did not answer within 0.5 s" in one_line(done)


@pytest.fixture
def loading(new_home: Callable[..., Home]) -> Home:
    """A daemon whose text tower is loaded when a test says so: a search waits for that."""
    home = new_home()
    home.environment["IMGQ_TEST_TEXT"] = "long_loading:FakeTexts"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parent / 'plants'}"
    (home.pictures / "a.jpg").write_bytes(RED)
    home.start()
    home.watch()
    home.settle()
    return home


@contextmanager
def asking(home: Home, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client whose search the daemon has, and has not answered."""
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", "red", "-l", *words],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as client:
        sockets = psutil.Process(client.pid).net_connections
        until(lambda: sockets("unix"), "the request")
        # It is heard before the question that comes after it is answered.
        home.status()
        yield client


def ended(client: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[bytes]:
    out, words = client.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess([], client.returncode, out, words)


def test_fault_67_a_daemon_that_starts_and_loads_its_model(loading: Home) -> None:
    done = loading.imgq("red", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "still loading after 0.5 s" in one_line(done)
    with asking(loading) as client:
        (loading.folder / "loaded").touch()
        done = ended(client)
    assert (done.returncode, done.stdout) == (0, b"%s/a.jpg\n" % os.fsencode(loading.pictures))


def test_fault_67_a_daemon_that_is_busy_with_others(loading: Home) -> None:
    """Each thread that may wait for a model does."""
    command = [sys.executable, "-m", "imgq", "red", "--timeout", "60"]
    with ExitStack() as crowd:
        for _ in range(PATIENT_THREADS):
            other = crowd.enter_context(subprocess.Popen(command, env=loading.environment))
            crowd.callback(other.kill)

        def refused() -> bool:
            done = loading.imgq("red", "--timeout", "0.3")
            assert (done.returncode, done.stdout) == (3, b"")
            return "did not answer within 0.3 s" in one_line(done)

        until(refused, "all others to be heard")
        assert loading.imgq("status").returncode == 0


def test_fault_67_a_daemon_that_is_killed_amid_a_request(loading: Home) -> None:
    with asking(loading) as client:
        loading.kill()
        done = ended(client)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "daemon" in one_line(done)


def test_fault_67_a_daemon_that_starts_anew_amid_a_request(loading: Home) -> None:
    """The request goes to the one that comes."""
    with asking(loading, "--timeout", "60") as client:
        loading.settings('model = "builtin"\nidle_unload = 100\n')
        assert loading.daemon
        loading.daemon.send_signal(signal.SIGHUP)
        until(lambda: loading.log.count("imgqd answers") == 2, "the next daemon")
        (loading.folder / "loaded").touch()
        done = ended(client)
    assert (done.returncode, done.stdout) == (0, b"%s/a.jpg\n" % os.fsencode(loading.pictures))


def test_fault_67_a_daemon_of_another_version() -> None:
    other = msgpack.packb([wire.PROTOCOL + 1, 1, "of", "quite", "another", "form"])
    with peers.address() as path, peers.answering(path, [other]):
        done = subprocess.run(
            [sys.executable, "-m", "imgq", "--socket", f"ipc://{path}", "red"],
            capture_output=True,
            timeout=PATIENCE_S,
        )
    assert (done.returncode, done.stdout) == (5, b"")
    assert "protocol" in one_line(done)


def test_fault_67_where_the_way_is_crowded_the_client_waits(tmp_path: Path) -> None:
    path = f"{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as crowd:
        listener.bind(path)
        listener.listen(0)
        crowded = crowd.enter_context(socket.socket(socket.AF_UNIX))
        crowded.connect(path)
        done = subprocess.run(
            [sys.executable, "-m", "imgq", "--socket", f"ipc://{path}", "red", "--timeout", "0.3"],
            capture_output=True,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 3
    assert "did not answer within 0.3 s" in one_line(done)


@root_only
def test_fault_67_who_listens_there_must_be_the_same_user() -> None:
    """In /tmp, where socket folders with long paths go, anybody could have been first."""
    with peers.address() as path, socket.socket(socket.AF_UNIX) as listener:
        os.chmod(os.path.dirname(path), 0o777)
        with somebody_else():
            listener.bind(path)
            listener.listen()
        with pytest.raises(PermissionError, match="another user"):
            Dealer(path, soon())


def test_fault_68_many_clients_during_indexing_are_all_answered_in_time(home: Home) -> None:
    """The 95th percentile, and its bound, are benchmarks/hostile.py's."""
    search = wire.Search(terms=(wire.Term(text="red"),))
    for number in range(200):
        (home.pictures / f"{number}.jpg").write_bytes(encoded(painted(number, (64, 48)), "JPEG"))
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                list(client.stream(search, CROWDED_S))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    assert home.settle().index.files == 200


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon that knows one picture."""
    with watching(tmp_path_factory.mktemp("known"), **{"a.jpg": RED}) as home:
        yield home


@pytest.mark.parametrize(
    ("text", "exit_code"),
    [
        ("", 2),
        (" ", 2),
        ("😀", 0),
        ("\x1b[2J\x9b", 0),
        ("\x1b]0;x\x07" * 2000, 2),
        ("x" * 90_000, 2),
    ],
    ids=["empty", "blank", "emoji", "escapes", "many escapes", "long"],
)
def test_fault_69_any_text_is_asked_or_refused(known: Home, text: str, exit_code: int) -> None:
    done = known.imgq(text)
    assert done.returncode == exit_code
    if exit_code:
        assert "\x1b" not in one_line(done)


def test_fault_69_no_text_at_all_is_refused_by_the_daemon(known: Home) -> None:
    asking = Client(address(known))
    sound = wire.pack_request(wire.Search(terms=(wire.Term(text="abcd"),)), 1)
    for text, is_sound in [(b"\xff\xfe\xfd\xfc", False), (b"a\0\0b", True)]:
        asking.send(sound.replace(b"abcd", text))
        _, _, reply = asking.receive()
        assert isinstance(reply, wire.Hits) is is_sound
    million = wire.pack_request(wire.AskRoots(), 1).replace(b"AskRoots", b"AskR")
    assert asking.fault(million + b"x" * 1_000_000).exit_code == 2
    asking.close()
    assert is_running(known)


@pytest.mark.parametrize("what", ["fifo", "device", "folder", "too large"])
def test_fault_69_a_query_picture_is_a_regular_file(known: Home, tmp_path: Path, what: str) -> None:
    path = tmp_path / "query"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "too large":
        with open(path, "wb") as file:
            file.truncate(MOST_PICTURE + 1)
    else:
        path = Path("/dev/zero")
    done = known.imgq("--like", str(path))
    assert done.returncode == 2
    assert str(path) in one_line(done)


def test_fault_69_a_link_to_a_regular_file_is_one(known: Home, tmp_path: Path) -> None:
    (tmp_path / "true").write_bytes(encoded(painted(), "JPEG"))
    (tmp_path / "link").symlink_to("true")
    assert known.imgq("--like", str(tmp_path / "link")).returncode == 0
