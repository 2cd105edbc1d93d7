"""What a service manager is told: that the daemon answers, what it does, and that it lives."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import PATIENCE_S, Home, until
from imgq import client
from pictures import jpeg

# Between two signs at the most, and without one from a daemon that gives none.
WATCHDOG_S = 0.6
SILENCE_S = 0.8


@dataclass(frozen=True, slots=True)
class Manager:
    """Who listens at NOTIFY_SOCKET."""

    line: socket.socket
    home: Home
    orders: Path

    def told(self, name: str) -> str:
        """The next word of this name."""
        self.line.settimeout(PATIENCE_S)
        while True:
            for said in self.line.recv(4096).decode().splitlines():
                if said.startswith(f"{name}="):
                    return said.partition("=")[2]

    def hears_no_sign(self) -> bool:
        """Whether none comes for longer than one may be late."""
        self.line.setblocking(False)
        try:
            while True:
                self.line.recv(4096)
        except BlockingIOError:
            pass
        self.line.settimeout(SILENCE_S)
        try:
            while b"WATCHDOG" not in self.line.recv(4096):
                pass
        except TimeoutError:
            return True
        return False

    def order(self, words: str) -> None:
        beside = self.orders.with_suffix(".new")
        beside.write_text(words)
        beside.rename(self.orders)
        until(lambda: not self.orders.exists(), "the order")


@pytest.fixture
def manager(new_home: Callable[..., Home], tmp_path: Path) -> Iterator[Manager]:
    home = new_home()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(os.fspath(tmp_path / "notify"))
        orders = tmp_path / "orders"
        home.environment |= {
            "NOTIFY_SOCKET": os.fspath(tmp_path / "notify"),
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
            "IMGQ_TEST_ORDERS": os.fspath(orders),
        }
        home.plant("halts")
        yield Manager(line, home, orders)


def test_fault_71_it_is_ready_when_it_answers_and_says_what_it_does(manager: Manager) -> None:
    home = manager.home
    home.start()
    assert manager.told("STATUS").startswith("makes sure of the model")
    assert manager.told("STATUS") == "opens the index"
    assert manager.told("READY") == "1"
    assert client.answers(0.5)
    home.watch()
    jpeg(home.pictures / "red.jpg", "red")
    until(lambda: manager.told("STATUS") == "idle: 1 files can be found", "its word")
    home.imgq("pause")
    until(lambda: manager.told("STATUS").startswith("waits: paused by `imgq pause`"), "its word")
    assert manager.told("WATCHDOG") == "1"
    assert home.daemon
    home.daemon.send_signal(signal.SIGTERM)
    assert manager.told("STOPPING") == "1"
    assert home.daemon.wait(PATIENCE_S) == 0


def test_fault_71_no_sign_of_life_comes_while_a_part_is_not_well(manager: Manager) -> None:
    home = manager.home.start()
    home.watch()
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    assert manager.told("WATCHDOG") == "1"

    # Whatever hangs: signs come again when it goes on.
    for method, color, words in (
        ("Reconciler._beat", "green", "the reconciler does not get on"),
        ("Indexer._record", "blue", "the indexer does not get on"),
    ):
        manager.order(f"hang {method}")
        jpeg(home.pictures / f"{color}.jpg", color)
        until(lambda words=words: words in home.log, "a word on it")
        assert manager.hears_no_sign()
        manager.order(f"let {method}")
        assert manager.told("WATCHDOG") == "1"

    # The watcher is replaced, and the index made anew.
    manager.order("kill inotify")
    until(lambda: "the watcher is gone" in home.log, "a word on it")
    assert manager.hears_no_sign()
    assert manager.told("WATCHDOG") == "1"
    home.settle()
    home.store.rename(home.store.with_suffix(".away"))
    until(lambda: "no sign of life is given: the index" in home.log, "a word on it")
    assert manager.told("WATCHDOG") == "1"

    manager.order("kill indexer")
    jpeg(home.pictures / "pink.jpg", "pink")
    until(lambda: home.log.count("the indexer does not get on") > 1, "a word on it")
    assert manager.hears_no_sign()
