"""No network but the model hub, and none at all with `offline = true`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from strangers import start

from conftest import PATIENCE_S, Home
from pictures import jpeg

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
NewHome = Callable[..., Home]


def without_network() -> tuple[str, ...]:
    """The words that run a command where there is no network, not even this machine's own."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if (
            shutil.which(words[0])
            and not subprocess.run([*words, "true"], capture_output=True).returncode
        ):
            return words
    pytest.skip("this machine lets nobody make a network namespace")


def test_all_of_it_works_where_there_is_no_network(new_home: NewHome) -> None:
    home, words = new_home(), without_network()
    jpeg(home.pictures / "red.jpg", "red")
    jpeg(home.pictures / "blue.jpg", "blue")

    def imgq(*rest: str) -> str:
        done = subprocess.run(
            [*words, sys.executable, "-m", "imgq", *rest],
            env=home.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    home.wrapper = words
    home.start()
    assert home.daemon is not None
    devices = Path(f"/proc/{home.daemon.pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    imgq("add", "--wait", str(home.pictures))
    assert imgq("red", "-l", "-k", "1") == f"{home.pictures}/red.jpg\n"
    assert "2 files" in imgq("status")
    assert home.stop() == 0


class Knocks:
    """A place where a hub might be; it counts who comes."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        while True:
            try:
                guest, _ = self._door.accept()
            except OSError:
                return
            self.count += 1
            guest.close()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


@pytest.fixture
def knocks() -> Iterator[Knocks]:
    knocks = Knocks()
    yield knocks
    knocks.close()


@pytest.fixture
def far_home(new_home: NewHome, knocks: Knocks) -> Home:
    """One that would find a hub, directly or by way of a proxy."""
    home = new_home()
    home.environment |= {
        "HF_ENDPOINT": knocks.address,
        "HF_HOME": str(home.folder / "hf"),
        "http_proxy": knocks.address,
        "https_proxy": knocks.address,
    }
    return home


def start_fast(home: Home) -> subprocess.CompletedProcess[bytes]:
    """A start that lacks its weights."""
    return home.imgq("start", str(home.pictures), "--model", "fast")


def test_offline_asks_no_hub(far_home: Home, knocks: Knocks) -> None:
    far_home.settings("offline = true\n")
    done = start_fast(far_home)
    assert done.returncode == 4
    assert b"`offline` is set" in done.stderr
    pulled = far_home.imgq("model", "pull", "better")
    assert pulled.returncode == 4
    assert knocks.count == 0
    far_home.settings("offline = false\n")
    assert start_fast(far_home).returncode == 4
    assert knocks.count > 0


def test_the_engine_keeps_and_tells_nothing_of_its_use(tmp_path: Path) -> None:
    """ONNX Runtime reports to its maker, and numbers the machine for that when it is loaded, in a folder of
    the user's. It would not where it is told that these are tests: nothing is told here."""
    told = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    load = "import imgqd.models.text_onnx, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run(
        [sys.executable, "-c", load],
        env={**told, "HOME": str(tmp_path)},
        check=True,
        timeout=PATIENCE_S,
    )
    assert list(tmp_path.rglob("*")) == []


# Any way out: connections, and datagrams to somewhere.
CALLS = "socket,connect,sendto,sendmsg,sendmmsg,bind"


def test_offline_opens_no_way_out(new_home: NewHome) -> None:
    """By the kernel's account of the daemon, of all its children, and of who fetches weights."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    home = new_home()
    home.settings("offline = true\n")
    jpeg(home.pictures / "red.jpg", "red")
    calls = home.folder / "calls"
    watched = (
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={CALLS}",
        "-A",
        "-o",
        str(calls),
    )
    if subprocess.run([*watched, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    start(home, watched)
    home.watch()
    home.settle()
    assert len(home.search("red")) == 1
    pulled = subprocess.run(
        [*watched, sys.executable, "-m", "imgqd.models", "pull", "fast"],
        env=home.environment,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert b"`offline` is set" in pulled.stderr
    os.kill(home.status().pid, signal.SIGTERM)
    assert home.daemon is not None
    assert home.daemon.wait(PATIENCE_S) == 0
    said = calls.read_text().splitlines()
    assert [line for line in said if "AF_UNIX" in line]
    assert [line for line in said if "AF_INET" in line or "AF_NETLINK" in line] == []
