"""Told to end, or to read its settings again, at the worst moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from conftest import PATIENCE_S, Home, until
from imgq import wire
from pictures import jpeg

# What FAULT 39 allows from the signal to the end.
ENDED_S = 5.0


def end(home: Home, number: signal.Signals = signal.SIGTERM) -> int:
    """The exit code, which is there in time."""
    assert home.daemon is not None
    home.daemon.send_signal(number)
    return home.daemon.wait(ENDED_S)


def children(home: Home) -> list[psutil.Process]:
    assert home.daemon is not None
    return psutil.Process(home.daemon.pid).children(recursive=True)


def test_fault_39_sigterm_during_a_batch_ends_in_time_and_loses_nothing(
    new_home: Callable[..., Home],
) -> None:
    home = new_home(slow=60).start()
    for number in range(20):
        jpeg(home.pictures / f"{number}.jpg", number)
    home.watch()
    until(lambda: home.status().counters.decoded or home.status().index.pending == 20, "work")
    until(lambda: home.status().model.state == "ready", "the embedder")
    below = children(home)
    assert end(home) == 0
    assert not any(process.is_running() for process in below)
    home.environment.pop("IMGQ_TEST_EMBEDDER_SLOW")
    status = home.start().settle()
    assert (status.index.files, status.index.failed) == (20, 0)
    assert home.embedded() == 20


def test_fault_39_an_interrupt_and_another_end_in_order(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    assert home.daemon is not None
    home.daemon.send_signal(signal.SIGINT)
    assert end(home, signal.SIGINT) == 0
    assert "Traceback" not in home.log
    assert not (home.folder / "home" / "run" / "socket").exists()


def test_fault_39_a_part_that_hangs_keeps_nobody_waiting(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    (tmp_path / "hanging.py").write_text(
        "import threading\n"
        "from fake_embedder import FakeTexts\n"
        "from imgqd.embedder.batches import Batches\n"
        "Batches.end = lambda self: threading.Event().wait()\n"
    )
    home = new_home()
    home.environment["IMGQ_TEST_TEXT"] = "hanging:FakeTexts"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    home.start()
    until(lambda: home.search("red") == [], "the text tower")
    below = children(home)
    assert end(home) == 0
    assert "not every part ended within" in home.log
    psutil.wait_procs(below, PATIENCE_S)
    assert not any(process.is_running() for process in below)


def test_fault_39_an_end_while_the_weights_are_being_fetched_is_an_end(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    home = new_home()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        home.environment |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "HF_HOME": os.fspath(tmp_path / "hub"),
        }
        starting = subprocess.Popen(
            [sys.executable, "-m", "imgqd", "--model", "fast"],
            env=home.environment,
            stderr=subprocess.PIPE,
        )
        with starting:
            silent.settimeout(PATIENCE_S)
            with silent.accept()[0]:
                starting.send_signal(signal.SIGTERM)
                _, said = starting.communicate(timeout=ENDED_S)
    assert (starting.returncode, b"Traceback" in said) == (0, False)


@contextmanager
def manager(folder: Path) -> Iterator[socket.socket]:
    """What NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(os.fspath(folder / "notify"))
        line.settimeout(PATIENCE_S)
        yield line


def told(line: socket.socket) -> dict[str, str]:
    """The next words that are more than what the daemon does."""
    while True:
        said = dict(field.split("=", 1) for field in line.recv(4096).decode().splitlines())
        if said.keys() != {"STATUS"}:
            return said


def of_the_kernel(process: psutil.Process) -> list[str]:
    """What is open and has no name: watches, polls, and the like."""
    links = Path(f"/proc/{process.pid}/fd").iterdir()
    return sorted(name for name in map(name_of, links) if name.startswith("anon_inode:"))


def name_of(link: Path) -> str:
    """Empty where it is closed by now."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def test_fault_39_sighup_brings_other_settings_into_effect_in_the_same_process(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    home = new_home()
    with manager(tmp_path) as line:
        home.environment["NOTIFY_SOCKET"] = os.fspath(tmp_path / "notify")
        home.start()
        home.watch()
        for color in ("red", "blue"):
            jpeg(home.pictures / f"{color}.jpg", color)
        home.settle()
        assert home.daemon is not None
        process = psutil.Process(home.daemon.pid)
        below, kernels = children(home), of_the_kernel(process)
        assert told(line)["READY"] == "1"

        home.settings('model = "builtin"\nexclude = ["blue*"]\n')
        home.daemon.send_signal(signal.SIGHUP)
        reloading = told(line)
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        # Asked in between, it is late, and not absent.
        assert home.imgq("roots").returncode == 0
        assert told(line)["READY"] == "1"

    home.settle()
    assert list(home.indexed()) == [home.pictures / "red.jpg"]
    assert home.status().pid == process.pid
    assert home.embedded() == 2
    assert not any(each.is_running() for each in below)
    until(lambda: of_the_kernel(process) == kernels, "as many as before, and no more")
    second = home.imgq("start")
    assert (second.returncode, home.status().pid) == (0, process.pid)
    assert end(home) == 0


def test_fault_39_questions_all_the_while_are_answered(home: Home) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    home.settle()
    found: list[int] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            found.append(len(home.search("red")))

    asking = threading.Thread(target=ask)
    asking.start()
    assert home.daemon is not None
    try:
        for decoders in (1, 2):
            home.settings(f'model = "builtin"\ndecoders = {decoders}\n')
            home.daemon.send_signal(signal.SIGHUP)
            until(lambda count=decoders: len(decoders_of(home)) == count, "the other settings")
    finally:
        ending.set()
        asking.join()
    assert found
    assert set(found) == {1}


def decoders_of(home: Home) -> list[int]:
    return [process.pid for process in home.status().processes if process.role == "decoder"]


def of_the_settings(home: Home) -> list[wire.Trouble]:
    return [each for each in home.status().degraded if each.code == "settings"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("modell = 'fast'", "there is no setting 'modell'"),
        ("model = 'builtin'\nrescan = 0", "rescan is at least 1"),
        ("model = 'fast'\noffline = true", "those in force stay so: the weights of fast are not"),
    ],
)
def test_fault_39_settings_that_cannot_be_used_leave_the_old_ones_in_force(
    home: Home, settings: str, words: str
) -> None:
    jpeg(home.pictures / "red.jpg", "red")
    before = home.settle()
    assert home.daemon is not None
    home.settings(settings)
    home.daemon.send_signal(signal.SIGHUP)
    until(lambda: words in home.log, "a word on it")
    after = home.status()
    assert after.uptime_s >= before.uptime_s
    assert len(home.search("red")) == 1
    [told] = (each for each in after.degraded if each.code == "settings")
    assert told.path == os.fsencode(home.folder / "home" / "settings.toml")
    assert told.remedy.endswith("; then `imgq restart`")
    home.settings('model = "builtin"\n')
    home.daemon.send_signal(signal.SIGHUP)
    until(lambda: not of_the_settings(home), "an end of the trouble")


def test_fault_39_settings_that_break_after_the_look_at_them_end_no_daemon(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    home.plant("broken_meanwhile")
    home.settings('model = "builtin"\ndecoders = 1\n')
    home.start()
    assert home.daemon is not None
    # With the text tower comes the fault.
    until(lambda: home.search("red") == [], "the text tower")
    home.settings('model = "builtin"\ndecoders = 2\n')
    home.daemon.send_signal(signal.SIGHUP)
    until(lambda: len(decoders_of(home)) == 2, "the settings that were looked at")
    [told] = of_the_settings(home)
    assert "settings.toml is no TOML: Invalid value (at line 1, column 10)" in told.message
    # A start of another process does not make do with what it cannot read, and leaves this one alone.
    refused = home.imgq("restart")
    assert (refused.returncode, b"line 1" in refused.stderr) == (2, True)
    assert home.status().pid == home.daemon.pid


def test_fault_39_sighup_with_nothing_changed_changes_nothing(home: Home) -> None:
    assert home.daemon is not None
    before = home.status().processes
    home.daemon.send_signal(signal.SIGHUP)
    until(lambda: "are as they were" in home.log, "a word on it")
    assert home.status().processes == before


def test_told_to_end_as_it_goes_on_after_a_stop_it_ends(home: Home) -> None:
    """As service managers do: who is stopped is told to go on, and to end."""
    assert home.daemon
    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM):
        home.daemon.send_signal(number)
    assert home.daemon.wait(PATIENCE_S) == 0
