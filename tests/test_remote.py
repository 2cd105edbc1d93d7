"""A laptop asks a daemon on another machine: over a real network, with real keys."""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

import psutil
import pytest

import fake_embedder
from conftest import PATIENCE_S, Home, until
from far import Laptop, allow, free_port, listen, raw, shown
from imgq import client, curve, wire
from imgq.errors import NoDaemon
from imgq.remote import FarDealer
from imgqd.serve.server import MOST_GUESTS
from mounting import mounts_copied
from pictures import jpeg
from served import GREETING, is_closed

NewHome = Callable[..., Home]


class Nas:
    """A daemon that listens, a laptop that may read, and one that may do everything."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder, fake_embedder.environment(folder / "embedded"))
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.key = listen(self.home, self.address)
        for color in ("red", "blue"):
            jpeg(self.home.pictures / f"{color}.jpg", color)
        self.reader = self.machine("reader")
        self.owner = self.machine("owner", "--full")

    def machine(self, name: str, *options: str) -> Laptop:
        made = self.stranger(name)
        allow(self.home, made.key(), "--name", name, *options)
        return made

    def stranger(self, name: str) -> Laptop:
        """One that knows the daemon, and that the daemon does not know."""
        made = Laptop(self.home.folder / name, self.address)
        made.done("keys", "trust", self.address, self.key)
        return made


@pytest.fixture(scope="module")
def nas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nas]:
    with pytest.MonkeyPatch.context() as patch:
        nas = Nas(tmp_path_factory.mktemp("nas"))
        patch.setenv("IMGQ_HOME", nas.home.environment["IMGQ_HOME"])
        nas.home.start()
        try:
            nas.home.watch()
            nas.home.settle()
            yield nas
            assert nas.home.daemon
            assert nas.home.status().pid == nas.home.daemon.pid
            assert "this is a bug" not in nas.home.log
        finally:
            nas.home.kill()


# ── what a reader may ───────────────────────────────────────────────────────────────────────────────


def test_a_search_finds_what_is_there(nas: Nas) -> None:
    found = nas.reader.done("red", "--json")
    (first, *_) = json.loads(found)["results"]
    assert first["path"] == str(nas.home.pictures / "red.jpg")
    assert nas.reader.done("red", "-l", "-k", "1") == f"{nas.home.pictures}/red.jpg\n"
    assert nas.reader.imgq("red", "--in", str(nas.home.pictures)).returncode == 0


def test_a_picture_of_the_laptops_is_sent(nas: Nas) -> None:
    jpeg(nas.reader.folder / "mine.jpg", "blue", (90, 70))
    assert nas.reader.done("--like", "mine.jpg", "-l", "-k", "1") == (
        f"{nas.home.pictures}/blue.jpg\n"
    )
    assert nas.reader.done("./mine.jpg", "-l", "-k", "1") == f"{nas.home.pictures}/blue.jpg\n"


def test_a_page_has_its_thumbnails_inside(nas: Nas) -> None:
    told = nas.reader.imgq("red", "--html=page.html")
    assert told.returncode == 0
    page = (nas.reader.folder / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert nas.address in told.stderr.decode()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("status",), "2 files, 2 pictures"),
        (("status", "--json"), '"state":'),
        (("stats",), "search"),
        (("roots",), "watching\t2"),
        (("errors", "--json"), "[]"),
        (("files",), "red.jpg"),
        (("dupes", "--json", "--near", "1"), "[]"),
        (("wait",), ""),
        (("export", "--npz", "all.npz"), "2 vectors"),
        (("search", "red", "--wait", "-l"), "red.jpg"),
    ],
)
def test_what_a_reader_may_ask_is_answered(nas: Nas, words: tuple[str, ...], part: str) -> None:
    assert part in nas.reader.done(*words)


def test_a_file_is_named_as_it_is_there(nas: Nas) -> None:
    path = nas.home.pictures / "red.jpg"
    assert json.loads(nas.reader.done("info", str(path), "--json"))["state"] == "indexed"
    jpeg(nas.reader.folder / "red.jpg", "red")
    for words in (("info", "red.jpg"), ("red", "--in", "."), ("dupes", "--in", "x")):
        assert "would be a path of this machine" in nas.reader.done(*words, code=2)


def test_nothing_outside_of_the_folders_is_told(nas: Nas) -> None:
    outside = nas.home.folder / "outside.jpg"
    jpeg(outside, "green")
    told = json.loads(nas.reader.imgq("info", str(outside), "--json").stdout)
    assert (told["state"], told.get("hash")) == ("unknown", None)
    with closing(nas.reader.dealer(nas.key)) as dealer:
        asked = wire.AskThumbnails(paths=(os.fsencode(outside), b"/etc/passwd"))
        dealer.send(wire.pack_request(asked, 1), soon())
        replies = [wire.unpack_reply(dealer.receive(soon(), wire.MOST_REPLY)) for _ in range(2)]
    assert [reply for _, _, reply in replies] == [wire.Thumbnail()] * 2


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("remove", "/p"), "remove"),
        (("add", "/p"), "add"),
        (("pause",), "pause"),
        (("resume",), "resume"),
        (("reindex",), "reindex"),
        (("errors", "--retry"), "errors --retry"),
        (("check",), "check"),
        (("check", "--repair"), "check"),
        (("model", "use", "builtin"), "model use"),
        (("model", "drop", "builtin"), "model drop"),
        (("stop",), "stop"),
    ],
)
def test_what_is_the_owners_is_refused_to_a_reader(
    nas: Nas, words: tuple[str, ...], command: str
) -> None:
    said = nas.reader.done(*words, code=4)
    assert f"`imgq {command}` needs a key with the right 'full', and this key has 'read'" in said
    assert re.search("hint: at the daemon's machine: `imgq keys allow [0-9a-f]{64} --full`", said)


def test_one_with_the_full_right_does_what_the_owner_does(nas: Nas) -> None:
    more = nas.home.folder / "more"
    more.mkdir()
    jpeg(more / "green.jpg", "green")
    nas.owner.done("pause", "--for", "1h")
    assert nas.home.status().state == "paused"
    nas.owner.done("resume")
    nas.owner.done("add", "--wait", str(more))
    assert nas.reader.done("green", "-l", "-k", "1") == f"{more}/green.jpg\n"
    assert "1 file is taken again" in nas.owner.done("reindex", str(more))
    nas.owner.done("model", "use", "builtin")
    nas.owner.done("wait")
    assert "nothing is wrong" in nas.owner.done("check")
    nas.owner.done("remove", str(more))
    assert str(more) not in nas.owner.done("roots")
    assert "cannot be watched" in nas.owner.done("add", "/nowhere/at/all", code=4)


@pytest.mark.parametrize(
    "words",
    [
        *(("start",), ("restart",), ("logs",), ("service", "status"), ("config", "show")),
        *(("config", "set", "rescan", "60"), ("model", "list"), ("keys", "list")),
        ("keys", "revoke", "x"),
    ],
)
def test_what_is_about_one_machine_is_not_done_to_another(nas: Nas, words: tuple[str, ...]) -> None:
    said = nas.owner.done(*words, code=2)
    assert f"is about this machine, and {nas.address} may be another" in said
    assert nas.owner.imgq(*words, "--help").returncode == 0


def test_a_shell_goes_on_with_what_was_found(nas: Nas) -> None:
    """Its files are not here: their thumbnails are asked for, and stand for them."""
    lines = ("red", "like 1", "open 1", "red", "--like 1", "red", "like 1 + blue --weights 1 2")
    asked = nas.reader.imgq("shell", stdin="\n".join(lines).encode())
    found = [line.rpartition("/")[2] for line in asked.stdout.decode().splitlines()]
    assert found == ["red.jpg", "blue.jpg", "blue.jpg"] * 3
    (complaint,) = [
        line for line in asked.stderr.decode().splitlines() if line.startswith("imgq: ")
    ]
    assert "is about this machine" in complaint


def test_doctor_looks_at_keys_and_at_the_daemon(nas: Nas) -> None:
    found = {each["subject"]: each for each in json.loads(nas.reader.done("doctor", "--json"))}
    assert nas.key in found["its key"]["found"]
    assert found["own key"]["found"] == nas.reader.key()
    assert found["daemon"]["state"] == "ok"
    assert not {"service", "watches", "disk space"} & found.keys()
    other = Laptop(nas.home.folder / "blank", nas.address)
    told = json.loads(other.imgq("doctor", "--json").stdout)
    assert [each["state"] for each in told] == ["wrong", "wrong", "wrong"]


# ── who is not let in ───────────────────────────────────────────────────────────────────────────────


def test_a_key_that_is_not_allowed_is_told_at_once(nas: Nas) -> None:
    stranger = nas.stranger("stranger")
    public = stranger.key()
    said = stranger.done("red", "--timeout", "3600", code=4)
    assert "does not allow this machine's key" in said
    assert f"imgq keys allow {public} --name" in said


def test_a_daemon_with_another_key_is_not_believed(nas: Nas) -> None:
    machine = nas.stranger("wary")
    allow(nas.home, machine.key(), "--name", "wary")
    other, _ = curve.keypair()
    machine.done("keys", "trust", nas.address, other.hex())
    said = machine.done("red", "--timeout", "3600", code=4)
    assert f"what answers on {nas.address} has not the key that is trusted" in said
    machine.done("keys", "trust", nas.address, nas.key)
    machine.done("red")


def test_what_is_missing_is_named(nas: Nas) -> None:
    blank = Laptop(nas.home.folder / "new", nas.address)
    assert "`imgq keys create` makes one" in blank.done("red", code=2)
    blank.key()
    assert f"imgq keys trust {nas.address} KEY" in blank.done("red", code=2)
    blank.done("keys", "trust", nas.address, nas.key)
    (blank.keys / "client.key").chmod(0o644)
    assert "is open to others" in blank.done("red", code=4)


def test_where_nobody_listens_is_told_at_once(nas: Nas) -> None:
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    nas.reader.done("keys", "trust", nowhere, nas.key)
    said = nas.reader.done("--socket", nowhere, "red", "--timeout", "3600", code=3)
    assert f"no daemon listens on {nowhere}" in said
    nameless = "tcp://no.such.machine.invalid"
    nas.reader.done("keys", "trust", nameless, nas.key)
    # Whoever looks names up may take longer than this, and is not waited for.
    nas.reader.done("--socket", nameless, "red", "--timeout", "0.5", code=3)


def test_where_nobody_listens_nobody_waits(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    nas.reader.done("keys", "trust", nowhere, nas.key)
    for name, value in nas.reader.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IMGQ_SOCKET", nowhere)
    monkeypatch.setattr(client, "sleep", lambda seconds: pytest.fail("it waits"))
    with pytest.raises(NoDaemon, match="no daemon listens"):
        client.ask(wire.AskRoots(), PATIENCE_S)


def known(home: Home) -> Laptop:
    """A laptop of a daemon that is not started yet."""
    address = f"tcp://127.0.0.1:{free_port()}"
    laptop = Laptop(home.folder / "laptop", address)
    daemon = listen(home, address)
    allow(home, laptop.key(), "--name", "laptop", "--full")
    laptop.done("keys", "trust", address, daemon)
    return laptop


def test_a_daemon_that_hangs_up_and_starts_anew_is_waited_for(new_home: NewHome) -> None:
    home = new_home()
    laptop = known(home)
    port = int(laptop.address.rpartition(":")[2])
    with ThreadPoolExecutor(1) as pool:
        with socket.create_server(("127.0.0.1", port)) as before:
            asking = pool.submit(laptop.imgq, "red", "--timeout", "120")
            before.settimeout(PATIENCE_S)
            connection, _ = before.accept()
        connection.close()
        home.start()
        done = asking.result(PATIENCE_S)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_who_listens_and_is_silent_is_given_up_in_time(nas: Nas) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        nas.reader.done("keys", "trust", address, nas.key)
        said = nas.reader.done("--socket", address, "red", "--timeout", "0.2", code=3)
    assert "did not answer within 0.2 s" in said


def test_who_listens_and_takes_no_keys_is_not_asked(nas: Nas) -> None:
    """A daemon's own socket, by way of a network: it would answer anybody."""
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"

        def greet() -> bool:
            with other.accept()[0] as client:
                client.sendall(GREETING)
                return is_closed(client)

        greeting = pool.submit(greet)
        nas.reader.done("keys", "trust", address, nas.key)
        assert "takes no keys" in nas.reader.done("--socket", address, "red", code=3)
        assert greeting.result(PATIENCE_S)


def test_a_revoked_key_is_cut_off_at_once(nas: Nas) -> None:
    thief = nas.machine("thief", "--full")
    with ExitStack() as held:
        idle, waiting = (held.enter_context(closing(thief.dealer(nas.key))) for _ in range(2))
        waiting.send(wire.pack_request(wire.Follow(search=wire.Search(terms=())), 1), soon())
        waiting.receive(soon(), wire.MOST_REPLY)
        staying = held.enter_context(closing(nas.reader.dealer(nas.key)))
        done = nas.home.imgq("keys", "revoke", "thief")
        assert done.returncode == 0, done.stderr
        for cut in (idle, waiting):
            cut._socket.setblocking(False)
            assert cut._socket.recv(1) == b""
        staying.send(wire.pack_request(wire.AskRoots(), 2), soon())
        assert isinstance(
            wire.unpack_reply(staying.receive(soon(), wire.MOST_REPLY))[2], wire.Roots
        )
    assert "does not allow" in thief.done("status", code=4)


def test_a_right_that_is_less_holds_for_who_is_there(nas: Nas) -> None:
    machine = nas.machine("demoted", "--full")
    with closing(machine.dealer(nas.key)) as dealer:

        def code() -> int:
            dealer.send(wire.pack_request(wire.Resume(), 1), soon())
            reply = wire.unpack_reply(dealer.receive(soon(), wire.MOST_REPLY))[2]
            return reply.exit_code if isinstance(reply, wire.Fault) else 0

        assert code() == 0
        allow(nas.home, machine.key(), "--name", "demoted")
        assert code() == 4


def test_follow_tells_what_arrives_and_ends_with_its_key(nas: Nas) -> None:
    machine = nas.machine("follower")
    following = subprocess.Popen(
        [sys.executable, "-m", "imgq", "follow", "-0"],
        env=machine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert following.stdout
    number = 0
    while not select.select([following.stdout], [], [], 0.1)[0]:
        number += 1
        jpeg(nas.home.pictures / f"new-{number}.jpg", number)
        nas.home.settle()
    assert b"new-" in following.stdout.read1()
    assert nas.home.imgq("keys", "revoke", "follower").returncode == 0
    _, said = following.communicate(timeout=PATIENCE_S)
    assert following.returncode == 4
    assert b"does not allow this machine's key" in said
    for path in nas.home.pictures.glob("new-*"):
        path.unlink()
    nas.home.settle()


# ── what is thrown at it ────────────────────────────────────────────────────────────────────────────


def soon() -> float:
    return monotonic() + PATIENCE_S


def memory(nas: Nas) -> int:
    assert nas.home.daemon
    return int(psutil.Process(nas.home.daemon.pid).memory_info().rss)


def test_fault_63_over_a_network(nas: Nas) -> None:
    """Garbage, half handshakes, a browser, a giant claim, and NULL where keys are asked for."""
    dice = random.Random(63)
    nas.reader.done("red")
    before = memory(nas)
    local = nas.home.status().pid
    with ExitStack() as held:
        for number in range(2300):
            if number < 2000:
                said = dice.randbytes(dice.randint(1, 300))
            else:
                said = (curve.CLIENTS_GREETING + hello())[: dice.randint(0, 260)]
            held.enter_context(raw(nas.address, said))
        held.enter_context(raw(nas.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        for flags in (b"\x02", b"\x06", b"\x03"):
            giant = flags + (20 << 30).to_bytes(8, "big")
            held.enter_context(raw(nas.address, curve.CLIENTS_GREETING + giant))
        null = GREETING + b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        held.enter_context(raw(nas.address, null + b"\x00\x04stop"))
        nas.reader.done("red")
        assert nas.home.status().pid == local
        assert memory(nas) - before < 20_000_000


def hello() -> bytes:
    """Of somebody who knows the daemon's key by heart, and has none of its own that is allowed."""
    public, secret = curve.keypair()
    said = curve.Handshake(secret, public).hello()
    return b"\x04" + bytes((len(said),)) + said


def test_a_crowd_that_says_nothing_keeps_nobody_out(nas: Nas) -> None:
    """More than may be in at a time, all of them silent: they make room for each other first."""
    assert nas.home.daemon
    daemon = psutil.Process(nas.home.daemon.pid)
    with ExitStack() as held:
        known = held.enter_context(closing(nas.reader.dealer(nas.key)))
        before = daemon.num_fds()
        for _ in range(600):
            held.enter_context(raw(nas.address, curve.CLIENTS_GREETING))
            assert daemon.num_fds() - before < MOST_GUESTS + 20
        nas.reader.done("red")
        assert len(nas.home.search("red")) == 2
        known.send(wire.pack_request(wire.AskRoots(), 2), soon())
        assert wire.unpack_reply(known.receive(soon(), wire.MOST_REPLY))[0] == 2


def test_fault_64_over_a_network(new_home: NewHome) -> None:
    """Few descriptors, and many connections that say nothing by either door."""
    home, address = new_home(), f"tcp://127.0.0.1:{free_port()}"
    laptop = Laptop(home.folder / "laptop", address)
    laptop.done("keys", "trust", address, listen(home, address))
    allow(home, laptop.key())
    home.wrapper = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    home.start()
    with ExitStack() as held:
        for _ in range(400):
            held.enter_context(raw(address, curve.CLIENTS_GREETING))
        assert home.search("red") == []
        assert laptop.done("red", code=1) == ""
    assert laptop.done("status")


def test_fault_65_over_a_network(nas: Nas) -> None:
    """A flood that nobody reads costs little, and keeps no other from being answered."""
    nas.reader.done("red")
    before = memory(nas)
    with closing(nas.reader.dealer(nas.key)) as flood:
        flood._socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            pour(flood)
        for _ in range(5):
            nas.reader.done("red")
        assert memory(nas) - before < 50_000_000


def pour(flood: FarDealer) -> None:
    """Asks for as long as somebody takes it."""
    while True:
        sealed = flood._session.sealed(wire.pack_request(wire.AskStatus(), 1))
        flood._socket.sendall(bytes((0, len(sealed))) + sealed)


def test_fault_66_over_a_network(nas: Nas) -> None:
    """Too many bytes, too many frames, and sealed nonsense: refused, or sent away."""
    with closing(nas.reader.dealer(nas.key)) as dealer:
        dealer._socket.sendall(b"\x02" + (wire.MOST_REQUEST + 100).to_bytes(8, "big"))
        dealer._socket.settimeout(PATIENCE_S)
        with pytest.raises(OSError, match="closed the connection"):
            dealer.receive(soon(), wire.MOST_REPLY)
    dice = random.Random(66)
    with closing(nas.reader.dealer(nas.key)) as dealer:
        for said in (
            b"",
            b"\x91" * 500,
            b"\xdd\xff\xff\xff\xff",
            *map(dice.randbytes, range(1, 200)),
        ):
            dealer.send(said, soon())
            reply = wire.unpack_reply(dealer.receive(soon(), wire.MOST_REPLY))[2]
            assert isinstance(reply, wire.Fault)
            assert reply.exit_code in (2, 5)


# ── the end, and beginnings ─────────────────────────────────────────────────────────────────────────


def test_a_daemon_that_cannot_listen_answers_all_the_same_and_says_so(new_home: NewHome) -> None:
    home = new_home()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        listen(home, address)
        home.start()
        (trouble,) = home.troubles("listen")
        assert address in trouble.message
        assert "in use" in trouble.message
        port = int(address.rpartition(":")[2])
        assert f"`imgq config set listen tcp://127.0.0.1:{port + 1}`" in trouble.remedy
    until(lambda: not home.troubles("listen"), "it to listen")


def test_listening_begins_and_ends_with_the_setting_and_stop_ends_it_from_afar(
    new_home: NewHome,
) -> None:
    home = new_home()
    home.start()
    address = f"tcp://127.0.0.1:{free_port()}"
    laptop = Laptop(home.folder / "laptop", address)
    allow(home, laptop.key(), "--name", "laptop", "--full")
    laptop.done("keys", "trust", address, shown(home)["daemon"])
    assert "no daemon listens" in laptop.done("status", code=3)
    assert home.imgq("config", "set", "listen", address).returncode == 0
    # By the very next command.
    laptop.done("status")
    assert home.imgq("config", "set", "listen", "").returncode == 0
    assert "no daemon listens" in laptop.done("status", code=3)
    assert home.imgq("config", "set", "listen", address).returncode == 0
    laptop.done("stop")
    assert home.daemon
    assert home.daemon.wait(PATIENCE_S) == 0
    assert "no daemon was running" in laptop.imgq("stop").stderr.decode()


ALONE = ("click", "msgpack", "nacl", "cffi", "_cffi_backend", "pycparser")


def test_the_client_alone_asks_a_daemon_far_away(nas: Nas, tmp_path: Path) -> None:
    """An interpreter that has the client, what it needs, and nothing else."""
    import importlib.util

    import imgq

    (tmp_path / "imgq").symlink_to(Path(imgq.__file__).parent)
    for name in ALONE:
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        assert spec.origin
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        (tmp_path / source.name).symlink_to(source)
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r}); from imgq.cli.main import main; main()"
    )

    def alone(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, *words],
            env=nas.reader.environment,
            capture_output=True,
            timeout=PATIENCE_S,
        )

    assert (
        alone("red", "-l", "-k", "1").stdout == os.fsencode(nas.home.pictures / "red.jpg") + b"\n"
    )
    assert b"2 files, 2 pictures" in alone("status").stdout
    assert nas.key.encode() in alone("doctor").stdout
    # Where it finds none here, it can start none.
    nowhere = alone("--socket", f"ipc://{tmp_path}/none", "red")
    assert (nowhere.returncode, b"imgq start" in nowhere.stderr) == (3, False)
    assert b"pip install 'imgq[daemon]'; that of another machine" in nowhere.stderr
    assert b"IMGQ_SOCKET=tcp://HOST" in nowhere.stderr
    there = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import numpy"], capture_output=True, check=False
    )
    assert there.returncode


# ── two machines ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def wire_between(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two network namespaces and a cable; their names. The first is 10.77.0.1, the second 10.77.0.2."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root, with iproute2, can make a network")
    names = (f"imgq-nas-{os.getpid()}", f"imgq-lap-{os.getpid()}")
    with mounts_copied():
        yield from networked(names)


def networked(names: tuple[str, str]) -> Iterator[tuple[str, str]]:
    try:
        for name in names:
            if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
                pytest.skip("this machine lets nobody make a network namespace")
        ip(
            "link",
            "add",
            "cable",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "cable",
            "netns",
            names[1],
        )
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine has no network to play with: {done.stderr}")


def test_a_laptop_asks_a_nas_in_another_namespace(
    new_home: NewHome, wire_between: tuple[str, str]
) -> None:
    nas, lap = wire_between
    home, address = new_home(), "tcp://10.77.0.1:7571"
    jpeg(home.pictures / "red.jpg", "red")
    jpeg(home.pictures / "blue.jpg", "blue")
    public = listen(home, "tcp://0.0.0.0:7571")
    home.wrapper = ("ip", "netns", "exec", nas)
    home.start()
    home.watch()
    home.settle()
    asked = (*home.wrapper, sys.executable, "-m", "imgq", "keys", "show")
    shown = subprocess.run(asked, env=home.environment, capture_output=True, text=True)
    assert f"type: imgq keys trust {address} {public}\n" in shown.stderr
    laptop = Laptop(home.folder / "laptop", address, ("ip", "netns", "exec", lap))
    key = laptop.key()
    laptop.done("keys", "trust", address, public)
    assert "does not allow this machine's key" in laptop.done("red", code=4)
    allow(home, key, "--name", "laptop")
    assert laptop.done("red", "-l", "-k", "1") == f"{home.pictures}/red.jpg\n"
    jpeg(laptop.folder / "mine.jpg", "blue", (90, 70))
    assert laptop.done("--like", "mine.jpg", "-l", "-k", "1") == f"{home.pictures}/blue.jpg\n"
    laptop.done("red", "--html=page.html")
    assert "data:image/jpeg" in (laptop.folder / "page.html").read_text()
    assert "needs a key with the right 'full'" in laptop.done("pause", code=4)
    # The cable is cut: who waits is told in time, and not before somebody may still answer.
    ip("-n", nas, "link", "set", "cable", "down")
    assert laptop.imgq("red", "--timeout", "0.3").returncode == 3
    ip("-n", nas, "link", "set", "cable", "up")
    until(lambda: laptop.imgq("red").returncode == 0, "the cable to carry again")
    home.stop()
    assert "no daemon listens" in laptop.done("red", code=3)
