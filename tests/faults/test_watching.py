"""The watcher loses events, dies, goes deaf, or may not watch: a real daemon that nobody asks to settle,
which would have it scan."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import xxhash

from conftest import Home, until
from imgqd.reconcile import reconciler
from pictures import jpeg

NewHome = Callable[..., Home]
# So many times a thread is killed.
ROUNDS = int(os.environ.get("IMGQ_TEST_ROUNDS", "2"))
# In this time the index is right again.
SOON_S = 10.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def truth(home: Home) -> dict[Path, str]:
    """Every picture with the hash of its bytes, as the index should have it."""
    return {
        path: f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}"
        for path in home.pictures.rglob("*.jpg")
        if not any(part.startswith(".") for part in path.relative_to(home.pictures).parts)
    }


def is_right(home: Home, patience: float = SOON_S) -> None:
    found = truth(home)
    until(lambda: home.indexed() == found, "the truth", patience)


def canary(home: Home, path: Path) -> None:
    """A new picture is found soon, without anybody asking for a scan."""
    path.parent.mkdir(parents=True, exist_ok=True)
    jpeg(path, hash(path) % 10**6)
    until(lambda: path in home.indexed(), f"{path.name} in the index", SOON_S)


def degraded(home: Home) -> dict[str, str]:
    """What to do, by the code of the trouble."""
    return {trouble.code: trouble.remedy for trouble in home.status().degraded}


@contextmanager
def stopped(home: Home) -> Iterator[None]:
    """The daemon reads no event meanwhile."""
    assert home.daemon is not None
    home.suspend()
    try:
        yield
    finally:
        home.daemon.send_signal(signal.SIGCONT)


def flood(folder: Path) -> None:
    """More events than inotify's queue holds, of which nothing remains."""
    one, two = folder / "flood", folder / "again"
    one.touch()
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2):
        one.rename(two)
        two.rename(one)
    one.unlink()


@linux
def test_fault_04_lost_events_are_made_good(home: Home) -> None:
    folders = [home.pictures / f"{number}" for number in range(10)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        jpeg(folder / "kept.jpg", number)
        jpeg(folder / "old.jpg", 100 + number)
    home.settle()
    for round in (1, 2):
        with stopped(home):
            flood(home.pictures)
            for number, folder in enumerate(folders[round::2]):
                jpeg(folder / f"new-{round}.jpg", 200 * round + number)
                (folder / "old.jpg").unlink(missing_ok=True)
            canary_of_the_deep = home.pictures / f"deep-{round}" / "a" / "b"
            canary_of_the_deep.mkdir(parents=True)
            jpeg(canary_of_the_deep / "red.jpg", 1000 + round)
        is_right(home)
        until(lambda round=round: home.status().counters.overflows >= round, "the count", SOON_S)
        canary(home, canary_of_the_deep / "later.jpg")
    assert "max_queued_events" in degraded(home)["events_lost"]
    assert home.log.count("events were lost") == 1


@linux
def test_fault_04_a_watch_whose_end_was_lost_is_made_anew(home: Home) -> None:
    """A folder that is made again may have the inode of the one before it."""
    folder = home.pictures / "a" / "b"
    folder.mkdir(parents=True)
    jpeg(folder / "red.jpg", "red")
    home.settle()
    with stopped(home):
        flood(home.pictures)
        shutil.rmtree(folder)
        folder.mkdir()
    until(lambda: home.status().counters.overflows, "the overflow", SOON_S)
    until(lambda: home.indexed() == {}, "the truth", SOON_S)
    canary(home, folder / "blue.jpg")


def unlike_others(home: Home, **limits: int) -> None:
    """The daemon's user gets limits of its own."""
    script = " && ".join(f"echo {most} > /proc/sys/user/{name}" for name, most in limits.items())
    home.wrapper = ("unshare", "-Ur", "sh", "-c", f'{script} && exec "$@"', "sh")
    if subprocess.run([*home.wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a test make a user namespace")


def raised(home: Home, name: str) -> None:
    """As somebody who follows the advice."""
    assert home.daemon is not None
    script = f"echo 100000 > /proc/sys/user/{name}"
    words = ["nsenter", "--user", "--preserve-credentials", "--target", str(home.daemon.pid)]
    subprocess.run([*words, "sh", "-c", script], check=True)


@pytest.fixture
def planted(new_home: NewHome) -> Home:
    """A home whose daemon takes orders; not started."""
    home = new_home()
    home.plant("watch_troubles")
    home.environment["IMGQ_TEST_ORDERS"] = str(home.folder / "orders")
    return home


def order(home: Home, words: str) -> None:
    orders = home.folder / "orders"
    orders.with_suffix(".new").write_text(words)
    orders.with_suffix(".new").rename(orders)
    until(lambda: not orders.exists(), "the order to be obeyed", SOON_S)


@linux
def test_fault_05_beyond_the_limit_of_watches_it_scans(planted: Home) -> None:
    unlike_others(planted, max_inotify_watches=50)
    folders = [planted.pictures / f"{number}" for number in range(200)]
    for folder in folders:
        folder.mkdir()
    planted.start().watch()
    until(lambda: "watch_limit" in degraded(planted), "the limit to be named", 5.0)
    assert "sysctl fs.inotify.max_user_watches=" in degraded(planted)["watch_limit"]
    for number, folder in enumerate(folders):
        jpeg(folder / "red.jpg", number)
    is_right(planted, patience=60.0)
    for folder in folders[::2]:
        shutil.rmtree(folder)
    (folders[1] / "deep").mkdir()
    jpeg(folders[1] / "deep" / "blue.jpg", "blue")
    is_right(planted)
    assert planted.log.count("cannot be watched") == 1
    raised(planted, "max_inotify_watches")
    until(lambda: not planted.troubles("watch_limit"), "the trouble to be over", SOON_S)
    assert planted.status().counters.restarts == 0


def test_fault_05_uncovered_folders_are_looked_at_often_enough() -> None:
    """The daemon above looks at them sooner than one that nothing is planted in."""
    assert reconciler.POLL_S <= 50.0


@linux
def test_fault_06_without_an_instance_it_scans(planted: Home) -> None:
    unlike_others(planted, max_inotify_instances=0)
    jpeg(planted.pictures / "red.jpg", "red")
    planted.settings("rescan_unwatched = 1\n")
    planted.start().watch()
    until(lambda: planted.search("red"), "a hit", SOON_S)
    assert "sysctl fs.inotify.max_user_instances=" in degraded(planted)["no_watcher"]
    assert planted.log.count("no folder can be watched") == 1
    canary(planted, planted.pictures / "deep" / "blue.jpg")
    raised(planted, "max_inotify_instances")
    until(lambda: not planted.troubles("no_watcher"), "the trouble to be over", SOON_S)
    assert planted.status().counters.restarts == 0


def test_fault_07_moved_out_and_made_again(home: Home) -> None:
    folder, outside = home.pictures / "a", home.folder / "outside"
    for round in range(ROUNDS):
        canary(home, folder / "deep" / f"{round}.jpg")
        folder.rename(outside)
        folder.mkdir()
        (folder / "b").mkdir()
        shutil.rmtree(folder)
        shutil.rmtree(outside)
        canary(home, home.pictures / f"{round}.jpg")
    is_right(home)
    assert home.status().counters.restarts == 0


def test_fault_08_moved_to_another_root_and_made_again(home: Home) -> None:
    other = home.folder / "other"
    other.mkdir()
    home.watch(other)
    for round in range(ROUNDS):
        canary(home, home.pictures / "a" / f"{round}.jpg")
        (home.pictures / "a").rename(other / "a")
        (home.pictures / "a").mkdir()
        shutil.rmtree(home.pictures / "a")
        shutil.rmtree(other / "a")
        canary(home, other / f"{round}.jpg")
        canary(home, home.pictures / "a" / "b" / f"{round}.jpg")
    assert sorted(home.indexed()) == sorted([*home.pictures.rglob("*.jpg"), *other.rglob("*.jpg")])
    assert home.status().counters.restarts == 0


@pytest.mark.parametrize("place", ["home/.local/share/Trash", "pictures/.Trash-1000"])
def test_fault_09_trashed_twice_and_emptied(home: Home, place: str) -> None:
    """As `gio trash` does it: a word on where a thing was, then the thing by a name that is free."""
    trash, album = home.folder / place, home.pictures / "album"
    (trash / "files").mkdir(parents=True)
    (trash / "info").mkdir()
    for name in ("album", "album.2"):
        canary(home, album / "deep" / f"{name}.jpg")
        (trash / "info" / f"{name}.trashinfo").write_text(f"[Trash Info]\nPath={album}\n")
        album.rename(trash / "files" / name)
        until(lambda: home.indexed() == {}, "the loss", SOON_S)
    for each in (*trash.glob("files/*"), *trash.glob("info/*")):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    canary(home, album / "deep" / "again.jpg")
    is_right(home)
    assert home.status().counters.restarts == 0


def rss(home: Home) -> int:
    assert home.daemon is not None
    return int(psutil.Process(home.daemon.pid).memory_info().rss)


def descriptors(home: Home) -> list[str]:
    """What a watcher may hold open: inotify's and pipes."""
    assert home.daemon is not None
    folder = Path(f"/proc/{home.daemon.pid}/fd")
    held: list[str] = []
    for each in folder.iterdir():
        # Others come and go meanwhile.
        with suppress(FileNotFoundError):
            held.append(os.readlink(each))
    return [each for each in held if each.startswith(("anon_inode:inotify", "pipe:"))]


@linux
@pytest.mark.parametrize(
    "trouble", ["kill inotify", "deafen", "kill PollingEmitter", "kill PollingObserver"]
)
def test_fault_11_a_watcher_that_died_or_is_deaf_is_replaced(planted: Home, trouble: str) -> None:
    """The last two are threads of an observer of watchdog, as it watches where there is no inotify."""
    planted.start().watch()
    canary(planted, planted.pictures / "deep" / "first.jpg")
    if "Polling" in trouble:
        replaced(planted, "observe", 1)
    first = planted.status().counters.restarts + 1
    replaced(planted, trouble, first)
    used, held = rss(planted), descriptors(planted)
    for number in range(first + 1, first + ROUNDS):
        replaced(planted, trouble, number)
    assert rss(planted) - used < 5_000_000
    assert len(descriptors(planted)) == len(held)
    assert "watcher_replaced" in degraded(planted)
    is_right(planted)


def replaced(home: Home, trouble: str, number: int) -> None:
    """The trouble comes about, and is over soon; number: of the watchers that were replaced by then."""
    order(home, trouble)
    # A thread that waits dies when it wakes.
    canary(home, home.pictures / "deep" / f"{number}.jpg")
    until(lambda: home.status().counters.restarts == number, "another watcher", SOON_S)
    canary(home, home.pictures / "deep" / f"{number}-again.jpg")


@linux
def test_fault_12_a_handler_that_raises_kills_nothing(planted: Home) -> None:
    planted.start().watch()
    canary(planted, planted.pictures / "deep" / "first.jpg")
    order(planted, "fail 7")
    for number in range(100):
        folder = planted.pictures / f"{number % 10}"
        folder.mkdir(exist_ok=True)
        path = jpeg(folder / f"{number}.jpg", number, (64, 48))
        if number % 3 == 0:
            path.rename(folder / f"moved-{number}.jpg")
        if number % 3 == 1:
            path.unlink()
        if number % 20 == 19:
            folder.rename(planted.pictures / f"moved-{number}")
    is_right(planted)
    order(planted, "fail 1")
    canary(planted, planted.pictures / "5" / "later.jpg")
    assert planted.status().counters.restarts == 0
    assert planted.log.count("an event could not be noted") == 1


def test_fault_33_new_pictures_are_found_while_folders_leave(home: Home) -> None:
    leaving = [home.pictures / "leaving" / f"{number}" for number in range(300)]
    for folder in leaving:
        folder.mkdir(parents=True)
    jpeg(leaving[0] / "red.jpg", "red")
    home.settle()
    outside = home.folder / "outside"
    outside.mkdir()
    over = threading.Event()

    def leave() -> None:
        for folder in leaving:
            folder.rename(outside / folder.name)
            if over.wait(0.1):
                return

    mover = threading.Thread(target=leave)
    mover.start()
    late = 0
    for number in range(12):
        path = jpeg(home.pictures / f"{number}.jpg", number)
        try:
            until(lambda path=path: path in home.indexed(), "the picture", 2.0)
        except pytest.fail.Exception:
            late += 1
    over.set()
    mover.join()
    assert late <= 1
    is_right(home)
