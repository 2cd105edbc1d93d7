"""When indexing waits for people."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import pictures
from conftest import Home, until
from imgq.cli.pause import duration
from imgqd.config import Settings
from imgqd.manners import courtesy, load, power
from imgqd.manners.courtesy import Courtesy
from imgqd.manners.hours import Hours
from imgqd.manners.load import Load


class Pipeline:
    """Remembers who holds it."""

    def __init__(self) -> None:
        self.holders: set[str] = set()
        self.hold = self.holders.add
        self.release = self.holders.discard
        self.pids = list[int]


@pytest.fixture
def new(tmp_path: Path) -> Callable[..., tuple[Courtesy, Pipeline]]:
    def make(**settings: object) -> tuple[Courtesy, Pipeline]:
        pipeline = Pipeline()
        file = str(tmp_path / "paused")
        return Courtesy(Settings(**settings), file, pipeline), pipeline  # type: ignore[arg-type]

    return make


def test_paused_files_are_noticed_and_not_indexed(home: Home) -> None:
    pictures.png(home.pictures / "a.png", 1)
    home.settle()
    assert home.imgq("pause").returncode == 0
    pictures.png(home.pictures / "b.png", 2)
    (home.pictures / "a.png").unlink()
    waited = home.imgq("wait")
    assert waited.returncode == 1
    assert b"1 files are pending, and indexing waits: paused by `imgq pause`" in waited.stderr
    now = home.status()
    assert (now.state, now.index.files, now.index.pending) == ("paused", 0, 1)
    assert b"waiting  paused by `imgq pause`\n" in home.imgq("status").stdout
    assert home.imgq("--like", str(home.pictures / "b.png")).returncode == 1
    resumed = home.imgq("resume")
    assert (resumed.returncode, resumed.stderr) == (0, b"")
    now = home.settle()
    assert (now.state, now.index.files, now.waiting) == ("idle", 1, None)


def test_a_pause_outlives_the_daemon(home: Home) -> None:
    home.imgq("pause", "--for", "2h")
    assert "until" in (home.status().waiting or "")
    home.kill()
    home.start()
    pictures.png(home.pictures / "a.png", 1)
    until(lambda: home.status().index.pending == 1)
    assert home.status().state == "paused"
    home.imgq("resume")
    assert home.settle().index.files == 1


def test_a_pause_ends_by_the_clock(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courtesy, "LOOK_S", 0.01)
    waits, pipeline = new()
    waits.start()
    waits.pause(3600)
    assert pipeline.holders
    later = time.time() + 3601
    monkeypatch.setattr(courtesy.time, "time", lambda: later)
    until(lambda: not pipeline.holders)
    waits.stop()
    assert new()[0].reason is None


def test_an_end_far_away_has_a_date(new: Callable[..., tuple[Courtesy, Pipeline]]) -> None:
    waits, _ = new()
    waits.pause(2 * 3600)
    assert re.search(r"until [^ \d]+ \d\d:\d\d$", waits.reason or "")
    waits.pause(366 * 86400)
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 366 * 86400))
    assert f"until {day} " in (waits.reason or "")


def test_how_long_it_waits_is_known(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.mktime((2026, 1, 15, 12, 30, 20, 0, 0, -1))
    monkeypatch.setattr(courtesy.time, "time", lambda: now)
    assert new()[0].wait_s() == 0
    assert new(quiet_hours=("11:00-12:30", "14:00-15:00"))[0].wait_s() == 0
    waits, _ = new(quiet_hours=("12:00-13:00", "13:00-14:00", "22:00-07:00"))
    assert waits.wait_s() == 90 * 60 - 20
    waits.pause(10 * 3600)
    assert waits.wait_s() == 18.5 * 3600 - 20
    waits.pause(None)
    assert waits.wait_s() == math.inf
    waits.resume()
    assert new(quiet_hours=("00:00-12:00", "12:00-24:00"))[0].wait_s() == math.inf
    monkeypatch.setattr(power, "is_on_battery", lambda: True)
    assert new(power="mains")[0].wait_s() == math.inf
    # Whoever is busy may be done at any moment.
    monkeypatch.setattr(Load, "of_others", lambda _: 1.0)
    waits, _ = new(busy_percent=50)
    assert (waits.reason, waits.wait_s()) == ("other programs are busy", 0)


def test_quiet_hours_end_in_time(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.mktime((2026, 1, 15, 6, 59, 50, 0, 0, -1))
    monkeypatch.setattr(courtesy.time, "time", lambda: now)
    assert new(quiet_hours=("22:00-07:00",))[0]._patience == 10
    assert new(quiet_hours=("22:00-08:00",))[0]._patience == courtesy.LOOK_S
    assert new(quiet_hours=("08:00-22:00",))[0]._patience == courtesy.LOOK_S


def test_a_pause_that_ends_in_time_is_waited_for(home: Home) -> None:
    assert home.imgq("pause", "--for", "2s").returncode == 0
    pictures.png(home.pictures / "a.png", 1)
    waited = home.imgq("wait", "--timeout", "60")
    assert (waited.returncode, waited.stderr) == (0, b"")
    assert home.status().index.files == 1
    home.imgq("pause", "--for", "1h")
    pictures.png(home.pictures / "b.png", 2)
    waited = home.imgq("wait", "--timeout", "60")
    assert waited.returncode == 1
    assert b"indexing waits: paused by `imgq pause` until" in waited.stderr


def test_a_pause_that_ends_before_the_next_look_ends_in_time(
    new: Callable[..., tuple[Courtesy, Pipeline]],
) -> None:
    waits, _ = new()
    waits.pause(courtesy.LOOK_S / 10)
    assert (waits._patience or 0) <= courtesy.LOOK_S / 10
    waits.pause(10 * courtesy.LOOK_S)
    assert waits._patience == courtesy.LOOK_S


def test_nobody_is_told_to_resume_what_is_no_pause(home: Home) -> None:
    home.stop()
    home.settings('quiet_hours = ["00:00-24:00"]')
    home.start()
    pictures.png(home.pictures / "a.png", 1)
    until(lambda: home.status().index.pending == 1)
    waited = home.imgq("wait").stderr
    assert b"indexing waits: in the quiet hours 00:00-24:00\n" in waited
    assert b"`imgq config show`" in waited
    resumed = home.imgq("resume")
    assert resumed.returncode == 0
    assert b"still waits: in the quiet hours 00:00-24:00\n" in resumed.stderr


def test_a_file_of_nonsense_is_no_pause(
    new: Callable[..., tuple[Courtesy, Pipeline]], tmp_path: Path
) -> None:
    for text in ("", "{", '"x"', "[1]", "true"):
        (tmp_path / "paused").write_text(text)
        assert new()[0].reason is None
    (tmp_path / "paused").write_text(json.dumps(time.time() - 1))
    assert new()[0].reason is None
    assert not (tmp_path / "paused").exists()


def test_on_battery_it_waits_if_asked(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "is_on_battery", lambda: True)
    assert new()[0].reason is None
    waits, pipeline = new(power="mains")
    assert "on battery" in (waits.reason or "")
    assert pipeline.holders
    monkeypatch.setattr(courtesy, "LOOK_S", 0.01)
    waits.start()
    monkeypatch.setattr(power, "is_on_battery", lambda: False)
    until(lambda: not pipeline.holders)
    waits.stop()


def test_on_a_busy_machine_it_waits_if_asked(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = [None, 0.2, 0.6, 0.45, None, 0.39, 0.45]
    monkeypatch.setattr(Load, "of_others", lambda _: shares.pop(0))
    waits, pipeline = new(busy_percent=50)
    reasons = [waits.reason]
    while shares:
        waits._look()
        reasons.append(waits.reason)
        assert bool(pipeline.holders) == bool(waits.reason)
    busy = "other programs are busy"
    assert reasons == [None, None, busy, busy, busy, None, None]
    # Nobody looks unless asked.
    assert new()[0].reason is None


@pytest.mark.skipif(sys.platform != "linux", reason="macOS tells of the last minute")
def test_only_what_others_take_makes_a_machine_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, own, stat = 100.0, 0.0, tmp_path / "stat"
    hertz, cores = os.sysconf("SC_CLK_TCK"), os.cpu_count() or 1
    monkeypatch.setattr(load, "_STAT", stat)
    monkeypatch.setattr(load.time, "monotonic", lambda: clock)
    monkeypatch.setattr(Load, "_own_s", lambda _: own)

    def look(user_s: float) -> float | None:
        ticks = [int(user_s * hertz), 0, 0, 10**9, 10**6, 0, 0, 0, 0, 0]
        stat.write_text(f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 2 3\n")
        return looks.of_others()

    looks = Load(list)
    assert look(50) is None
    clock += 0.5
    assert look(60) is None
    clock += 9.5
    # Of ten seconds of all cores others took half a core's time.
    own += 10.0 * cores - 5.0
    assert look(50 + 10.0 * cores) == pytest.approx(0.5 / cores)
    clock += 10.0
    own += 10.0 * cores
    assert look(50 + 20.0 * cores) == pytest.approx(0)
    stat.write_text("nonsense")
    assert looks.of_others() is None


def test_what_the_daemon_and_its_children_take_is_known() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os\nwhile sum(os.times()[:2]) < 0.3: pass\nprint()\ninput()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout
        child.stdout.readline()
        without, with_it = Load(list)._own_s(), Load(lambda: [child.pid])._own_s()
        assert with_it - without >= 0.25
        child.communicate(b"\n")
    assert Load(list)._own_s() - without >= 0.25
    assert Load(lambda: [child.pid])._own_s() >= with_it - 0.1


def test_its_children_take_what_others_leave(home: Home) -> None:
    pictures.png(home.pictures / "a.png", 1)
    now = home.settle()
    children = [each for each in now.processes if each.role != "daemon"]
    assert {each.role for each in children} == {"decoder", "embedder"}
    for each in children:
        process = psutil.Process(each.pid)
        assert process.nice() == min(psutil.Process(now.pid).nice() + 10, 19)
        if sys.platform == "linux":
            assert process.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE


def test_in_quiet_hours_it_waits(
    new: Callable[..., tuple[Courtesy, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    night = time.struct_time((2026, 1, 1, 23, 30, 0, 3, 1, 0))
    monkeypatch.setattr(courtesy.time, "localtime", lambda *_: night)
    waits, _ = new(quiet_hours=("12:00-13:00", "22:00-07:00"))
    assert waits.reason == "in the quiet hours 22:00-07:00"
    assert new(quiet_hours=("12:00-13:00",))[0].reason is None


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        ("22:00-07:00", [22 * 60, 0, 419], [420, 21 * 60 + 59]),
        ("9:30 - 17:00", [570, 1019], [569, 1020, 0]),
        ("00:00-24:00", [0, 1439], []),
    ],
)
def test_hours(words: str, inside: list[int], outside: list[int]) -> None:
    hours = Hours.of(words)
    assert all(map(hours.hold, inside))
    assert not any(map(hours.hold, outside))


@pytest.mark.parametrize("words", ["", "22-7", "25:00-07:00", "22:00", "7:00-7:00", "24:30-1:00"])
def test_what_is_no_hours(words: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        Hours.of(words)


def supply(folder: Path, **words: str) -> None:
    folder.mkdir(parents=True)
    for name, word in words.items():
        (folder / name).write_text(word + "\n")


def test_a_battery_that_is_drained_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    assert not power._by_supplies(tmp_path / "none")
    supply(tmp_path / "mouse", type="Battery", status="Discharging", scope="Device")
    assert not power._by_supplies(tmp_path)
    supply(tmp_path / "BAT0", type="Battery", status="Discharging")
    assert power._by_supplies(tmp_path)
    supply(tmp_path / "AC", type="Mains", online="0")
    assert power._by_supplies(tmp_path)
    (tmp_path / "AC" / "online").write_text("1\n")
    assert not power._by_supplies(tmp_path)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1h 30min", 5400), ("3d", 259200),
     ("", 0), ("2", None), ("h", None), ("2x", None), ("-2h", None), ("1h30", None), ("²h", None)],
)  # fmt: skip
def test_a_time_in_words(words: str, seconds: float | None) -> None:
    assert duration(words) == seconds


@pytest.mark.parametrize("words", ["soon", "0s", "400d", "-1h", ""])
def test_what_is_no_time_is_one_clear_line(home: Home, words: str) -> None:
    done = home.imgq("pause", f"--for={words}")
    assert done.returncode == 2
    assert b"as 45m, 2h or 1h30m" in done.stderr
    assert home.status().waiting is None
