"""A real daemon in a folder of its own, and the real pictures beside the checkout where they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import fake_embedder
from imgq import client, wire

SHARED = Path(__file__).resolve().parents[2] / "shared" / "pictures"
PATIENCE_S = 60.0

# Threads of torch's that wait for one another spin, and spin longest where several tests share the cores.
# For this process and all that it starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A daemon starts a decoder a core. Side by side, tests have two cores each, as on the smallest machines:
# more decoders would start, and end, with nothing to decode.
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    _cores, _number = sorted(os.sched_getaffinity(0)), int(worker.removeprefix("gw"))
    os.sched_setaffinity(0, {_cores[(_number + step) % len(_cores)] for step in (0, 1)})

# A shell that runs the tests in the background has them ignore the interrupt, and their children, too.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def shared_pictures() -> Path:
    """Real files to try on, which are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real pictures is not beside the checkout")
    return SHARED


def until(
    condition: Callable[[], Any], what: str = "the condition", patience: float = PATIENCE_S
) -> Any:
    """The first true value of the condition; fails when it takes too long."""
    for _ in looks(patience):
        if value := condition():
            return value
    pytest.fail(f"{what} did not come true within {patience:g} s")


def looks(patience: float, least: float = 0.02) -> Iterator[None]:
    """A poll: one look after another, the last when so many seconds are over.

    Between two of them what is looked for has the machine for as long as the look had it: for `least`
    seconds at least, and for half a one at most.
    """
    deadline = time.monotonic() + patience
    while (began := time.monotonic()) < deadline:
        yield
        time.sleep(min(max(time.monotonic() - began, least), 0.5))
    yield


class Home:
    """An IMGQ_HOME with its daemon, asked as a person would ask it.

    wrapper: the words of a command that the daemon is started by. model: what it is told to use, None for
    what it used last.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        self.counter = folder / "embedded"
        self.environment = os.environ | {"IMGQ_HOME": str(folder / "home")} | environment
        self.wrapper: tuple[str, ...] = ()
        self.model: str | None = "builtin"
        self.daemon: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def store(self) -> Path:
        return self.folder / "home" / "index" / "index.db"

    def settings(self, text: str) -> None:
        (self.folder / "home").mkdir(exist_ok=True)
        (self.folder / "home" / "settings.toml").write_text(text)

    def plant(self, name: str) -> None:
        """Has the daemon load a module of faults/plants, together with its text tower."""
        self.environment["IMGQ_TEST_TEXT"] = f"{name}:FakeTexts"
        self.environment["PYTHONPATH"] += (
            f"{os.pathsep}{Path(__file__).parent / 'faults' / 'plants'}"
        )

    def spawn(self, ready: int, *words: str) -> subprocess.Popen[bytes]:
        """The daemon starts, and is not waited for; it tells that descriptor."""
        with open(self.folder / "log", "ab") as log:
            self.daemon = subprocess.Popen(
                [
                    *self.wrapper,
                    sys.executable,
                    "-m",
                    "imgqd",
                    *(("--model", self.model) if self.model else ()),
                    "--ready",
                    str(ready),
                    *words,
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(ready,),
            )
        return self.daemon

    def start(self, *words: str) -> Home:
        """The daemon answers when this returns; where it cannot, its words are raised."""
        reading, writing = os.pipe()
        self.spawn(writing, *words)
        os.close(writing)
        with open(reading, "rb") as pipe:
            said = json.loads(pipe.readline() or b'{"exit_code": 70, "message": "no word"}')
        if said["exit_code"]:
            raise AssertionError(f"{said}\n{self.log}")
        return self

    def suspend(self) -> None:
        """Has the daemon stand still; a signal is heard by one of its threads, and later by the others."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGSTOP)
        process = psutil.Process(self.daemon.pid)
        until(lambda: process.status() == psutil.STATUS_STOPPED, "the daemon to stand still")

    def kill(self) -> None:
        """As a power cut would."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        return self.daemon.wait(PATIENCE_S)

    def imgq(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The client's answer to a command line, as in a pipe."""
        return subprocess.run(
            [sys.executable, "-m", "imgq", *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def json(self, *words: str) -> Any:
        done = self.imgq(*words, "--json")
        assert done.stdout, done.stderr.decode()
        return json.loads(done.stdout)

    def ask(self, request: wire.Request) -> wire.Reply:
        return client.ask(request, PATIENCE_S)

    def status(self) -> wire.Status:
        reply = self.ask(wire.AskStatus())
        assert isinstance(reply, wire.Status)
        return reply

    def troubles(self, *codes: str) -> list[wire.Trouble]:
        """Those of these kinds: a machine may have one of its own."""
        return [each for each in self.status().degraded if each.code in codes]

    def watch(self, *folders: Path) -> None:
        self.ask(
            wire.Add(paths=tuple(os.fsencode(folder) for folder in folders or [self.pictures]))
        )

    def settle(self) -> wire.Status:
        """The status when everything that was changed until now is in the index."""
        settled = self.ask(wire.Settle(timeout=PATIENCE_S))
        assert isinstance(settled, wire.Settled)
        assert settled.settled, self.log
        return self.status()

    def indexed(self) -> dict[Path, str]:
        """Every file that can be found, with its hash."""
        pages = client.stream(wire.AskFiles(), PATIENCE_S)
        return {
            Path(os.fsdecode(file.path)): file.hash
            for page in pages
            if isinstance(page, wire.Files)
            for file in page.files
        }

    def search(self, text: str, **options: Any) -> list[wire.Hit]:
        request = wire.Search(terms=(wire.Term(text=text),), **options)
        pieces = client.stream(request, PATIENCE_S)
        return [hit for piece in pieces if isinstance(piece, wire.Hits) for hit in piece.hits]

    def embedded(self) -> int:
        return fake_embedder.embedded(self.counter)


@contextmanager
def watching(
    folder: Path, fill: Callable[[Path], object], *, settings: str = "", **environment: str
) -> Iterator[Home]:
    """A daemon with the fake embedder for a whole module of tests, settled on what `fill` puts into the
    folder that it watches; client and daemon of this process find each other."""
    home = Home(folder, fake_embedder.environment(folder / "embedded") | environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
        patch.delenv("IMGQ_SOCKET", raising=False)
        fill(home.pictures)
        home.settings(settings)
        home.start()
        try:
            home.watch()
            home.settle()
            yield home
        finally:
            home.kill()


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Home]]:
    """Makes a home with the fake embedder; faults as in fake_embedder.environment."""
    homes: list[Home] = []

    def new(**faults: object) -> Home:
        environment = fake_embedder.environment(tmp_path / "embedded", **faults)
        home = Home(tmp_path, environment)
        monkeypatch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
        homes.append(home)
        return home

    yield new
    for home in homes:
        if home.daemon is not None and home.daemon.poll() is None:
            home.kill()


@pytest.fixture
def home(new_home: Callable[..., Home]) -> Home:
    """A running daemon with the fake embedder, watching an empty folder."""
    home = new_home().start()
    home.watch()
    return home
