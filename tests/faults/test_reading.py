"""What happens to files and folders between a hint, a look and a read."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import ground
import oracle
import tiny
from conftest import Home, until
from full_size import FULL, count

pytestmark = pytest.mark.timeout(3000 if FULL else 180)


def pictures(folder: Path, files: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + files):
        (folder / f"{number}.png").write_bytes(tiny.png(number))


@pytest.fixture
def humble(new_home: Callable[..., Home]) -> Home:
    """A daemon that may not read what its user may not read, though the user be root."""
    home = new_home()
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search"
        home.wrapper = ("setpriv", "--inh-caps", rights, "--bounding-set", rights)
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and setpriv(1) is not installed")
    home.start()
    home.watch()
    return home


def test_fault_23_what_may_not_be_read(humble: Home) -> None:
    home = humble
    known, closed = home.pictures / "known", home.pictures / "closed"
    listed, locked = home.pictures / "listed", home.pictures / "locked.png"
    pictures(known / "below", 3)
    pictures(listed / "below", 1, 70)
    pictures(listed, 1, 71)
    truth = oracle.check(home, home.pictures)
    pictures(closed, 3, 100)
    locked.write_bytes(tiny.png(50))
    for place in (known, closed, locked):
        place.chmod(0)
    # As `chmod -R 644` leaves folders: their names may be read, and nothing else.
    listed.chmod(0o644)
    try:
        for _ in range(5):
            home.imgq("wait")
        assert {file["path"] for file in oracle.listed(home)} == truth.pictures.keys()
        (error,) = home.json("errors")
        assert (error["path"], error["kind"]) == (str(locked), "unreadable")
        troubles = [each for each in home.json("status")["degraded"] if each["code"] == "denied"]
        assert {trouble["path"] for trouble in troubles} == {*map(str, (known, closed, listed))}
        for place in (known, closed, listed):
            said = [line for line in home.log.splitlines() if str(place) in line]
            assert len(said) == 1, "one line, not one a scan"
    finally:
        for place in (known, closed, listed, locked):
            place.chmod(0o700)
    (known / "below" / "0.png").write_bytes(tiny.png(60))
    oracle.agree(home, home.pictures, within=60.0)
    assert home.json("errors") == []
    until(lambda: not home.troubles("denied"), "all to be well")
    assert home.embedded() == 10


def test_fault_30_gone_before_it_is_read(home: Home) -> None:
    for number in range(300):
        place = home.pictures / f"{number}.png"
        place.write_bytes(tiny.png(number))
        place.unlink()
        if number % 3 == 0:
            place.mkdir()
            (place / "below.png").write_bytes(tiny.png(1000 + number))
        elif number % 3 == 1:
            place.symlink_to("nowhere")
    oracle.agree(home, home.pictures)
    for number in range(0, 300, 3):
        place = home.pictures / f"{number}.png"
        shutil.rmtree(place)
        place.write_bytes(tiny.png(2000 + number))
    oracle.agree(home, home.pictures)
    is_quiet(home)


def is_quiet(home: Home) -> None:
    """Settled, with no error and no bug told; and settled still, with nothing done meanwhile."""
    oracle.check(home, home.pictures)
    before = home.json("status")
    home.imgq("wait")
    after = home.json("status")
    done = ("decoded", "embedded", "reused", "failed")
    assert [after["counters"][name] for name in done] == [before["counters"][name] for name in done]
    assert " ERROR " not in home.log


def test_fault_32_reading_makes_no_event(home: Home) -> None:
    """The kernel itself says what it is asked to tell of."""
    folders = [home.pictures / f"{number}" for number in range(5)]
    for number, folder in enumerate(folders):
        pictures(folder, 20, 20 * number)
    oracle.check(home, home.pictures)
    watched = masks(home)
    # IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN
    reading = 0x1 | 0x10 | 0x20
    for folder in (home.pictures, *folders):
        assert watched[folder.stat().st_ino] & reading == 0
    before = home.json("status")["counters"]
    assert home.imgq("reindex").returncode == 0
    oracle.check(home, home.pictures)
    after = home.json("status")["counters"]
    assert after["embedded"] == before["embedded"] + 100
    assert after["overflows"] == before["overflows"] == 0


def masks(home: Home) -> dict[int, int]:
    """What the daemon's inotify watches of each inode, by the inode's number."""
    assert home.daemon is not None
    told = ""
    for info in Path(f"/proc/{home.daemon.pid}/fdinfo").iterdir():
        # Others come and go meanwhile.
        with suppress(FileNotFoundError):
            told += info.read_text()
    found = re.findall(r"^inotify wd:\S+ ino:(\S+) sdev:\S+ mask:(\S+)", told, re.MULTILINE)
    return {int(inode, 16): int(mask, 16) for inode, mask in found}


def test_fault_36_a_folder_of_very_many_files(home: Home) -> None:
    files = count(1_000_000, 10_000)
    with ground.scratch() as memory:
        home.watch(memory)
        oracle.check(home, memory)
        assert home.daemon is not None
        daemon = psutil.Process(home.daemon.pid)
        before = daemon.memory_info().rss
        descriptor = os.open(memory, os.O_RDONLY)
        for number in range(files):
            os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.close(descriptor)
        until(lambda: known(home) == files, f"to know {files} files", 10.0)
        grown: list[int] = []

        def settled() -> bool:
            grown.append(daemon.memory_info().rss - before)
            return home.imgq("wait", "--timeout", "1").returncode == 0

        until(settled, "to have looked into them", 2000.0 if FULL else 100.0)
        assert max(grown) < 300e6
        assert home.json("status")["index"]["ignored"] == files
        (memory / "deep").mkdir()
        (memory / "deep" / "empty").touch()
        (memory / "0").unlink()
        until(lambda: known(home) == files, "the changes")
        shutil.rmtree(memory / "deep")
        until(lambda: known(home) == files - 1, "the changes")
        # A look at everything that finds nothing new.
        assert home.imgq("wait", "--timeout", "10").returncode == 0


def known(home: Home) -> int:
    index = home.json("status")["index"]
    return int(index["files"] + index["pending"] + index["failed"] + index["ignored"])


def test_who_waits_for_a_disk_that_never_rests_is_told_so_in_time(home: Home) -> None:
    over = threading.Event()

    def write() -> None:
        for number in itertools.count():
            (home.pictures / f"{number % 50}.png").write_bytes(tiny.png(number))
            if over.wait(0.01):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: home.status().index.files, "some of them")
        for words in (["wait", "--timeout", "1"], ["red", "--wait", "--timeout", "1"]):
            began = time.monotonic()
            done = home.imgq(*words)
            assert time.monotonic() - began < 5.0
            assert (words[0], done.returncode) in (("wait", 1), ("red", 0), ("red", 1))
            assert b"not settled" in done.stderr
    finally:
        over.set()
        writer.join()
    oracle.check(home, home.pictures)
