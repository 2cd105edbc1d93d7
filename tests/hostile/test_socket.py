"""FAULTS 61 to 70: what is done to the socket of a real daemon, and to the client that asks there.

Bounds that need a clock of their own are leant on in test_crowd, frames and fields in test_server,
test_wire and test_record, peers that are no daemon in test_client and test_zmtp.
"""

from __future__ import annotations

import os
import pty
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from time import monotonic

import psutil
import pytest

import peers
from conftest import PATIENCE_S, Home, until
from imgq import client, wire
from imgq.wire import MOST_PICTURE
from imgq.zmtp import Dealer
from imgqd.serve.zmtp import framed
from pictures import encoded, painted
from served import GREETING, Client

MEGABYTES = 1_000_000
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
NOBODY = 65534
RED = encoded(painted("red"), "JPEG")

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")


def address(home: Home) -> str:
    return f"{home.environment['IMGQ_HOME']}/run/socket"


def memory(home: Home) -> int:
    assert home.daemon
    return int(psutil.Process(home.daemon.pid).memory_info().rss)


def is_running(home: Home) -> bool:
    """With the process that it began with."""
    assert home.daemon
    return home.daemon.poll() is None and home.status().pid == home.daemon.pid


def soon() -> float:
    return monotonic() + PATIENCE_S


def raw(path: str, data: bytes) -> socket.socket:
    """A connection that has said this; who finds the way crowded tries again."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    until(lambda: connection.connect_ex(path) == 0, "to be let in")
    with suppress(OSError):
        connection.sendall(data)
    return connection


# ── 61, 62, 70: whose it is ─────────────────────────────────────────────────────────────────────────


def test_fault_61_a_second_daemon_is_refused_and_the_first_goes_on(home: Home) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "imgqd", "--model", "builtin"],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 4
    assert "another daemon is running" in second.stderr
    assert "Traceback" not in second.stderr
    assert is_running(home)


def test_fault_61_the_socket_of_a_killed_daemon_is_taken_over(home: Home) -> None:
    home.kill()
    assert stat.S_ISSOCK(os.lstat(address(home)).st_mode)
    home.start()
    assert is_running(home)


@pytest.mark.parametrize("what", ["file", "link", pytest.param("somebody", marks=root_only)])
def test_fault_61_what_else_lies_there_is_not_touched(
    new_home: Callable[..., Home], what: str
) -> None:
    home = new_home()
    path = Path(address(home))
    path.parent.mkdir(parents=True, mode=0o700)
    if what == "file":
        path.write_text("a novel")
    elif what == "link":
        path.symlink_to("elsewhere")
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(path))
        os.chown(path, NOBODY, NOBODY)
    before = os.lstat(path)
    with pytest.raises(AssertionError, match="in the way"):
        home.start()
    assert os.lstat(path) == before


@root_only
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_fault_62_another_user_cannot_connect_under_any_umask(
    new_home: Callable[..., Home], umask: int
) -> None:
    before = os.umask(umask)
    try:
        home = new_home().start()
    finally:
        os.umask(before)
    path = address(home)
    assert stat.S_IMODE(os.lstat(os.path.dirname(path)).st_mode) == 0o700
    assert stat.S_IMODE(os.lstat(path).st_mode) & 0o177 == 0
    assert as_nobody(path) == "PermissionError"


@root_only
def test_fault_70_another_user_is_not_heard_though_every_door_stands_open(home: Home) -> None:
    path = Path(address(home))
    with ExitStack() as stack:
        for place in [path, *path.parents[:-1]]:
            before = stat.S_IMODE(place.lstat().st_mode)
            if before & 0o007 != 0o007:
                stack.callback(place.chmod, before)
                place.chmod(0o777)
        assert as_nobody(os.fspath(path)) == "ConnectionResetError"
    assert is_running(home)


def as_nobody(path: str) -> str:
    """What another user meets who asks there: the name of the error, or "heard"."""
    with somebody_else(), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE_S)
        try:
            asking.connect(path)
            return "heard" if asking.recv(1) else "ConnectionResetError"
        except OSError as error:
            return type(error).__name__


@contextmanager
def somebody_else() -> Iterator[None]:
    """What is done meanwhile is done by another user."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


# ── 63 to 66: what is thrown at it ──────────────────────────────────────────────────────────────────


def test_fault_63_garbage_half_handshakes_and_giant_claims(home: Home) -> None:
    dice, path = random.Random(63), address(home)
    assert home.search("red") == []
    before = memory(home)
    with ExitStack() as held:
        for _ in range(2000):
            held.enter_context(raw(path, dice.randbytes(dice.randint(1, 300))))
        for _ in range(300):
            held.enter_context(raw(path, GREETING[: dice.randint(0, 63)]))
        held.enter_context(raw(path, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        giant = b"\x02" + (20 << 30).to_bytes(8, "big")
        held.enter_context(raw(path, GREETING + READY + giant))
        assert home.search("red") == []
        assert memory(home) - before < 20 * MEGABYTES
    assert is_running(home)


def test_fault_64_few_descriptors_and_many_idle_connections(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    start(home, ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"])
    with ExitStack() as held:
        for _ in range(400):
            held.enter_context(raw(address(home), GREETING + READY))
        assert home.search("red") == []
        assert is_running(home)
    assert is_running(home)


def start(home: Home, prefix: list[str]) -> None:
    """The daemon by way of another command."""
    with open(home.folder / "log", "ab") as log:
        home.daemon = subprocess.Popen(
            [*prefix, sys.executable, "-m", "imgqd", "--model", "builtin"],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    until(client.answers, "the daemon to answer")


def test_fault_65_a_flood_that_nobody_reads_costs_little(home: Home) -> None:
    """Each reply would be of every file there is, again and again."""
    (home.pictures / "a.jpg").write_bytes(RED)
    home.settle()
    before, path = memory(home), address(home)
    with closing(Dealer(path, soon())) as flood:
        flood._socket.settimeout(0.2)
        for request in [wire.Export(), wire.AskFiles(), wire.AskStatus()] * 2000:
            try:
                flood._socket.sendall(framed(wire.pack_request(request, 1)))
            except TimeoutError:
                break
        else:
            pytest.fail("all of it was listened to")
        for _ in range(50):
            assert [hit.path for hit in home.search("red")] == [
                os.fsencode(home.pictures / "a.jpg")
            ]
        assert memory(home) - before < 50 * MEGABYTES
    assert is_running(home)


def test_fault_66_messages_of_many_frames_and_of_too_many_bytes(home: Home) -> None:
    asking = Client(address(home))
    request = wire.pack_request(wire.AskRoots(), 1)
    assert asking.fault(*[request] * 10_000).exit_code == 2
    asking.send(bytes(wire.MOST_REQUEST + 1))
    assert not asking.socket.poll(200)
    asking.close()
    assert is_running(home)


# ── 67 to 69: the client ────────────────────────────────────────────────────────────────────────────


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
    home.daemon.send_signal(signal.SIGSTOP)
    try:
        done = home.imgq("red", "--timeout", "0.5")
    finally:
        home.daemon.send_signal(signal.SIGCONT)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "did not answer within 0.5 s" in one_line(done)


def test_fault_67_a_daemon_that_is_killed_amid_a_request(home: Home) -> None:
    assert home.daemon
    home.daemon.send_signal(signal.SIGSTOP)
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", "red"],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as asking:
        sockets = psutil.Process(asking.pid).net_connections
        until(lambda: sockets("unix"), "the request")
        home.kill()
        out, words = asking.communicate(timeout=PATIENCE_S)
    done = subprocess.CompletedProcess([], asking.returncode, out, words)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "daemon" in one_line(done)


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
        with pytest.raises(OSError, match="another user"):
            Dealer(path, soon())


def test_fault_68_many_clients_during_indexing_meet_no_error(home: Home) -> None:
    for number in range(200):
        (home.pictures / f"{number}.jpg").write_bytes(encoded(painted(number, (64, 48)), "JPEG"))
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                home.search("red")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    assert home.settle().index.files == 200


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
def test_fault_69_any_text_is_asked_or_refused(home: Home, text: str, exit_code: int) -> None:
    (home.pictures / "a.jpg").write_bytes(RED)
    home.settle()
    done = home.imgq(text)
    assert done.returncode == exit_code
    if exit_code:
        assert "\x1b" not in one_line(done)


def test_fault_69_no_text_at_all_is_refused_by_the_daemon(home: Home) -> None:
    asking = Client(address(home))
    sound = wire.pack_request(wire.Search(terms=(wire.Term(text="abcd"),)), 1)
    for text, is_sound in [(b"\xff\xfe\xfd\xfc", False), (b"a\0\0b", True)]:
        asking.send(sound.replace(b"abcd", text))
        _, _, reply = asking.receive()
        assert isinstance(reply, wire.Hits) is is_sound
    million = wire.pack_request(wire.AskRoots(), 1).replace(b"AskRoots", b"AskR")
    assert asking.fault(million + b"x" * 1_000_000).exit_code == 2
    asking.close()
    assert is_running(home)


@pytest.mark.parametrize("what", ["fifo", "device", "folder", "too large"])
def test_fault_69_a_query_picture_is_a_regular_file(home: Home, what: str) -> None:
    path = home.folder / "query"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "too large":
        with open(path, "wb") as file:
            file.truncate(MOST_PICTURE + 1)
    else:
        path = Path("/dev/zero")
    done = home.imgq("--like", str(path))
    assert done.returncode == 2
    assert str(path) in one_line(done)


def test_fault_69_a_link_to_a_regular_file_is_one(home: Home) -> None:
    (home.folder / "true").write_bytes(RED)
    (home.folder / "link").symlink_to("true")
    (home.pictures / "a.jpg").write_bytes(encoded(painted(), "JPEG"))
    home.settle()
    assert home.imgq("--like", str(home.folder / "link")).returncode == 0


# ── what a person sees ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def escaping(home: Home) -> Home:
    """A picture and a broken one whose names would clear the screen."""
    (home.pictures / "\x1b[2J\x9bred.jpg").write_bytes(RED)
    (home.pictures / "\x1b[2Jbroken.jpg").write_bytes(RED[:300])
    return home


@pytest.mark.parametrize(
    "words",
    [
        ["red"],
        ["red", "--json"],
        ["red", "-l"],
        ["files"],
        ["errors"],
        ["errors", "--json"],
        ["status"],
        ["roots"],
        ["logs"],
        ["info", "pictures/\x1b[2J\x9bred.jpg"],
        ["--like", "\x1b[2Jnothing.jpg"],
        ["--\x1b[2J"],
        ["add", "\x1b[2J"],
        ["export", "--npz", "\x1b[2J.npz"],
    ],
    ids=lambda words: " ".join(words).encode("ascii", "ignore").decode().replace("\x1b", ""),
)
def test_no_name_steers_a_terminal(escaping: Home, words: list[str]) -> None:
    escaping.settle()
    shown = on_a_terminal(escaping, *words)
    assert b"\x1b[2J" not in shown
    assert "\x9b".encode() not in shown


def on_a_terminal(home: Home, *words: str) -> bytes:
    """All that the client writes there."""
    ours, theirs = pty.openpty()
    environment = home.environment | {"NO_COLOR": "1", "TERM": "dumb"}
    with (
        open(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(
            [sys.executable, "-m", "imgq", *words],
            env=environment,
            cwd=home.folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as asking,
    ):
        os.close(theirs)
        shown = b""
        with suppress(OSError):
            while part := terminal.read(4096):
                shown += part
        asking.wait(PATIENCE_S)
    assert shown
    return shown


@pytest.mark.parametrize("words", [["files"], ["red"], ["status"], ["files", "--json"]])
@pytest.mark.parametrize(
    ("where", "exit_code"),
    [(">&-", 70), (">/dev/full", 70), (">&- 2>&-", 70), (">/dev/full 2>&1", 70), ("2>&-", 0)],
)
def test_where_nobody_can_read_it_ends_in_order(
    home: Home, words: list[str], where: str, exit_code: int
) -> None:
    (home.pictures / "a.jpg").write_bytes(RED)
    home.settle()
    script = f"'{sys.executable}' -m imgq {' '.join(words)} {where}"
    done = subprocess.run(
        ["bash", "-c", script], env=home.environment, capture_output=True, timeout=PATIENCE_S
    )
    assert done.returncode == exit_code, done.stderr
    assert b"Traceback" not in done.stderr
