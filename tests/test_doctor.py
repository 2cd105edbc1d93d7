"""`imgq doctor`: everything wrong on purpose, one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

import disks
import pictures
from conftest import Home
from imgq import wire
from imgq.doctor import bundle, machine, running
from imgq.doctor.verdict import Verdict
from imgq.errors import CannotStart, Refused, TimedOut
from imgqd.config import DEFAULTS
from imgqd.health import doctor
from imgqd.models import card, hub
from imgqd.serve import door
from imgqd.store import Store


@pytest.fixture
def home(new_home: Callable[..., Home]) -> Home:
    """One whose daemon has not been started, and that asks no hub."""
    home = new_home()
    home.settings('model = "builtin"\noffline = true\n')
    return home


def examined(home: Home, code: int) -> dict[str, dict[str, str]]:
    """The verdicts by their subjects."""
    done = home.imgq("doctor", "--json")
    assert (done.returncode, done.stderr) == (code, b"")
    return {verdict["subject"]: verdict for verdict in json.loads(done.stdout)}


def test_a_daemon_that_is_well_gets_a_clean_bill(home: Home) -> None:
    home.start()
    home.watch()
    pictures.png(home.pictures / "a.png")
    home.settle()
    found = examined(home, 0)
    for subject in ("daemon", "versions", "socket", "permissions", "disk space", "clock"):
        assert found[subject]["state"] == "ok"
    assert found["folders"]["found"] == "1 watched, all can be read"
    assert found["index"]["found"].startswith("1 files can be found, 0 are pending")
    assert str(home.pictures) in found["file system"]["found"]
    for subject in ("settings", "SQLite", "weights", "model hub"):
        assert found[subject]["state"] == "ok"
    told = home.imgq("doctor").stdout.decode()
    assert all(f"{subject} " in told for subject in found)


def test_without_a_daemon_it_is_told_how_to_start_one(home: Home) -> None:
    found = examined(home, 1)
    assert (found["daemon"]["state"], found["daemon"]["found"]) == ("wrong", "no daemon is running")
    assert "imgq start" in found["daemon"]["remedy"]
    assert found["SQLite"]["state"] == "ok"


def test_settings_that_cannot_be_used_are_named(home: Home) -> None:
    home.settings("rescna = 60\n")
    settings = examined(home, 1)["settings"]
    assert "there is no setting 'rescna'" in settings["found"]
    assert "did you mean 'rescan'?" in settings["remedy"]


def test_what_follows_from_settings_is_not_guessed_where_they_are_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor is the hub asked, which they may forbid."""
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    (tmp_path / "settings.toml").write_text("offline = true\nmodel = \n")
    found = {verdict.subject: verdict for verdict in doctor.verdicts("", ())}
    assert found["settings"].state == "wrong"
    assert not {"weights", "model hub", "network"} & found.keys()
    assert found["SQLite"].state == "ok"


@pytest.mark.parametrize("name", ["fats", "", "../../etc", "ViT-B-32/none_such"])
def test_a_model_that_there_is_not_comes_with_one_that_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    verdict = doctor._weights(replace(DEFAULTS, model=name))
    assert verdict.state == "wrong"
    assert repr(name.partition("/")[0])[:-1] in verdict.found or repr(name) in verdict.found
    assert "`imgq config set model fast`" in verdict.remedy
    assert "pull" not in verdict.remedy


def test_an_index_that_a_newer_imgq_wrote_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no daemon to tell of it."""
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    assert doctor._index().state == "ok"
    (tmp_path / "index").mkdir()
    Store.open(tmp_path / "index" / "index.db", "").close()
    assert doctor._index().state == "ok"
    connection = apsw.Connection(os.fspath(tmp_path / "index" / "index.db"))
    connection.pragma("journal_mode", "delete")
    connection.pragma("user_version", 99)
    connection.close()
    verdict = doctor._index()
    assert (verdict.state, "a newer imgq wrote" in verdict.found) == ("wrong", True)
    subprocess.run(verdict.remedy.split("`")[1], shell=True, check=True)
    assert doctor._index().state == "ok"


def test_an_index_that_is_damaged_is_mended_by_the_commands_that_are_told(home: Home) -> None:
    home.start()
    home.watch()
    pictures.png(home.pictures / "a.png")
    home.settle()
    home.stop()
    sound = home.store.read_bytes()
    for damaged in (b"a novel", sound[:8192] + bytes(len(sound) - 8192), None):
        home.store.unlink()
        home.store.mkdir() if damaged is None else home.store.write_bytes(damaged)
        verdict = doctor._index()
        assert (verdict.state, str(home.store) in verdict.found) == ("wrong", True)
        assert verdict.remedy.startswith("`imgq start`, then `imgq check --repair`")
        home.start()
        home.settle()
        assert home.imgq("check", "--repair").returncode == 0
        assert doctor._index().state == "ok"
        assert list(home.indexed()) == [home.pictures / "a.png"]
        home.stop()


def test_weights_that_are_not_there_are_told(home: Home) -> None:
    home.settings('model = "fast"\noffline = true\n')
    weights = examined(home, 1)["weights"]
    assert weights["state"] == "wrong"
    assert "`imgq config set offline false && imgq model pull fast`" in weights["remedy"]
    assert "`imgq model add fast --weights FILE`" in weights["remedy"]


def test_weights_that_were_changed_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    builtin = card.builtin()
    assert builtin is not None
    copy = Path(shutil.copy(builtin.weights, tmp_path))
    with copy.open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(card, "load", lambda *_: replace(builtin, weights=str(copy)))
    verdict = doctor._weights(DEFAULTS)
    assert verdict.state == "wrong"
    assert str(copy) in verdict.found
    assert "pip install" in verdict.remedy


def test_a_folder_that_is_away_is_wrong(home: Home) -> None:
    home.start()
    home.watch()
    home.settle()
    shutil.rmtree(home.pictures)
    home.settle()
    found = examined(home, 1)
    assert f"{home.pictures} is offline" in found["folders"]["found"]
    assert found["offline"]["state"] == "wrong"
    # What is not there cannot be repaired.
    for subject in ("folders", "offline"):
        assert found[subject]["remedy"].endswith(f"`imgq remove {home.pictures}`")
    assert home.imgq("remove", str(home.pictures)).returncode == 0
    assert troubles(home, "offline") == []


def test_a_folder_that_was_emptied_unseen_is_repaired_by_the_command_that_is_told(
    home: Home,
) -> None:
    home.start()
    home.watch()
    pictures.png(home.pictures / "a.png")
    home.settle()
    home.kill()
    (home.pictures / "a.png").unlink()
    home.start()
    home.settle()
    [told] = troubles(home, "offline")
    assert told.remedy.endswith(f"`imgq check --repair {home.pictures}`")
    assert home.imgq("check", "--repair", str(home.pictures)).returncode == 0
    assert troubles(home, "offline") == []


def troubles(home: Home, code: str) -> list[wire.Trouble]:
    return [each for each in home.status().degraded if each.code == code]


def test_a_socket_that_others_may_touch_is_wrong(home: Home) -> None:
    folder = home.folder / "home" / "run"
    folder.mkdir()
    folder.chmod(0o777)
    socket = examined(home, 1)["socket"]
    assert socket["state"] == "wrong"
    assert socket["remedy"] == f"chmod 700 {folder}"


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o777])
def test_a_socket_is_private_where_the_daemon_finds_it_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    with pytest.raises(CannotStart):
        door._make_private(os.fspath(tmp_path / "run"))
    assert machine._socket().state == "wrong"
    (tmp_path / "run").chmod(0o700)
    assert machine._socket().state == "ok"


def test_what_is_in_the_sockets_place_is_moved_by_the_command_that_is_told(home: Home) -> None:
    folder = home.folder / "home" / "run"
    folder.mkdir(mode=0o700)
    for make in (Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")):
        make(folder / "socket")
        verdict = machine._socket()
        assert (verdict.state, "is in the way" in verdict.found) == ("wrong", True)
        subprocess.run(verdict.remedy, shell=True, check=True)
        assert machine._socket().state == "ok"
        (folder / "socket.old").rmdir() if make is Path.mkdir else (folder / "socket.old").unlink()


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="needs /proc of Linux, which tells who stands still",
)
def test_a_daemon_that_was_stopped_is_told_with_what_has_it_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = home.start().status().pid
    monkeypatch.setattr(running, "ANSWERS_S", 0.05)
    home.suspend()
    verdict = running.status()
    assert isinstance(verdict, Verdict)
    assert f"a signal has stopped it (pid {pid})" in verdict.found
    assert f"kill -CONT {pid} " in verdict.remedy


def test_a_daemon_that_cannot_be_found_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise TimedOut("the daemon did not answer within 10 s")

    monkeypatch.setattr(running, "ask", late)
    verdict = running.status()
    assert isinstance(verdict, Verdict)
    assert f"its socket {home.folder}/home/run/socket is not there" in verdict.found
    # Which one that fetches weights has not opened yet.
    assert "it is still starting, or" in verdict.found
    assert "`imgq restart`" in verdict.remedy


@pytest.mark.parametrize(("settled", "state"), [(False, "wrong"), (True, "note")])
def test_an_index_that_was_made_anew_and_is_whole_again_is_a_note(
    settled: bool, state: str
) -> None:
    trouble = wire.Trouble(code="rebuilt", message="it was damaged", remedy="nothing")
    found = {
        each.subject: each
        for each in running.verdicts(status(settled=settled, degraded=(trouble,)))
    }
    assert found["rebuilt"].state == state


def permissions(home: Path) -> Verdict:
    """As somebody is told of them who is not allowed everything, as root is."""
    words = (
        "import ctypes, struct; from imgq.doctor import machine\n"
        # No capability is left, in the third version of their layout; anybody may give up their own.
        "none = struct.pack('IiIIIIII', 0x20080522, *[0] * 7)\n"
        "assert not ctypes.CDLL(None).capset(none[:8], none[8:])\n"
        "told = machine._permissions(); print(told.found, told.remedy, sep=chr(10))"
    )
    done = subprocess.run(
        [sys.executable, "-c", words],
        env=os.environ | {"IMGQ_HOME": os.fspath(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, remedy = done.stdout.splitlines()
    return Verdict(
        subject="permissions", state="wrong" if remedy else "ok", found=found, remedy=remedy
    )


@pytest.mark.skipif(sys.platform != "linux", reason="root gives up its rights by capset(2)")
def test_what_may_not_be_written_comes_with_the_command_that_mends_it(tmp_path: Path) -> None:
    home = tmp_path / "im gq"
    assert permissions(home).state == "ok"
    for folder in ("index/models", "models", "logs"):
        (home / folder).mkdir(parents=True)
    for name in ("settings.toml", "index/index.db"):
        (home / name).touch()
    for path in (home, home / "index", home / "models", home / "index" / "index.db"):
        before = path.stat().st_mode
        path.chmod(before & ~0o222)
        found = permissions(home)
        path.chmod(before)
        assert (found.state, os.fspath(path) in found.found) == ("wrong", True)
        path.chmod(before & ~0o222)
        subprocess.run(found.remedy, shell=True, check=True)
        assert permissions(home).state == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="root gives up its rights by capset(2)")
def test_what_cannot_be_made_comes_with_a_command_for_that_alone(tmp_path: Path) -> None:
    """Not for what lies above it, which may be the root of all."""
    (tmp_path / "above").mkdir(mode=0o500)
    found = permissions(tmp_path / "above" / "mine")
    assert found.remedy == f"sudo install -d -m 700 -o {os.getuid()} {tmp_path}/above/mine"
    (tmp_path / "file").touch()
    found = permissions(tmp_path / "file")
    assert found.remedy == f"move it away: mv {tmp_path}/file {tmp_path}/file.old"


def test_a_disk_that_is_mounted_for_reading_alone_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMGQ_HOME", os.fspath(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with disks.read_only(tmp_path):
        found = machine._permissions()
    assert found.state == "wrong"
    assert found.remedy.endswith(f"sudo mount -o remount,rw {tmp_path}")


def test_watches_that_run_out_come_with_the_very_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_limit", lambda name: 8192)
    monkeypatch.setattr(running, "_used", lambda pid: 8000)
    (verdict,) = running._watches(status())
    assert verdict.state == "wrong"
    assert "sudo sysctl fs.inotify.max_user_watches=1048576" in verdict.remedy
    monkeypatch.setattr(running, "_used", lambda pid: 12)
    assert [each.state for each in running._watches(status())] == ["ok"]


def test_a_daemon_of_another_version_is_to_be_restarted() -> None:
    found = {verdict.subject: verdict for verdict in running.verdicts(status(version="0.0.1"))}
    assert found["versions"].state == "wrong"
    assert found["versions"].remedy == "`imgq restart`"
    assert found["folders"].remedy == "`imgq add ~/Pictures`"


def test_a_clock_that_is_wrong_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine._clock().state == "ok"
    monkeypatch.setattr(machine.time, "time", lambda: 86400.0)
    assert "1970" in machine._clock().found
    monkeypatch.setattr(machine.time, "time", lambda: 1.8e9 + 1e8)
    assert "away from the system's clock" in machine._clock().found


def test_a_clock_that_was_set_back_is_told(home: Home) -> None:
    log = home.folder / "home" / "logs" / "imgqd.log"
    log.parent.mkdir()
    log.touch()
    assert machine._clock().state == "ok"
    year = 366 * 86400
    os.utime(log, (log.stat().st_mtime + year, log.stat().st_mtime + year))
    verdict = machine._clock()
    assert (verdict.state, "imgq's log was written on" in verdict.found) == ("wrong", True)
    assert verdict.remedy.endswith("`imgq restart`")
    # Which writes the log.
    log.write_text("imgqd answers\n")
    assert machine._clock().state == "ok"


def test_a_hub_that_no_certificate_is_valid_of_is_asked_by_a_clock_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: hub.Knock) -> None:
        raise hub.NoHub("certificate verify failed: certificate is not yet valid")

    monkeypatch.setattr(hub.Knock, "_ask", lambda _: None)
    monkeypatch.setattr(hub.Knock, "require", refuse)
    assert doctor._hub(DEFAULTS).remedy.startswith("set the clock")


def test_a_disk_that_is_nearly_full_is_told(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    full = os.statvfs_result((4096, 4096, 10**6, 100, 100, 0, 0, 0, 0, 255))
    monkeypatch.setattr(machine.os, "statvfs", lambda path: full)
    assert machine._space().state == "wrong"


def test_an_accelerator_that_torch_cannot_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(doctor, "_graphics", lambda: "an NVIDIA driver")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert doctor._accelerator("cpu").state == "wrong"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert doctor._accelerator("cpu").state == "note"
    assert doctor._accelerator("cuda").state == "ok"


def test_a_folder_far_away_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.mounts, "kind", lambda path: "fuse.sshfs")
    verdict = doctor._file_system(b"/far")
    assert (verdict.state, "fuse.sshfs" in verdict.found) == ("note", True)


def test_a_bundle_holds_no_path_unless_asked(home: Home) -> None:
    home.start()
    home.watch()
    (home.pictures / "bad.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    home.settle()
    shutil.rmtree(home.pictures)
    home.settle()
    home.imgq("config", "set", "exclude", "/private/things/")
    held = bundled(home, "--bundle")
    assert sorted(held) == ["doctor.txt", "log.txt", "machine.txt", "settings.toml"]
    assert not [name for name, text in held.items() if str(home.folder) in text]
    assert "private" not in "".join(held.values())
    assert "wrong offline" in held["doctor.txt"]
    held = bundled(home, "--with-paths", "--bundle")
    assert str(home.pictures) in held["doctor.txt"]


def bundled(home: Home, *words: str) -> dict[str, str]:
    file = home.folder / f"{len(words)}.zip"
    assert home.imgq("doctor", *words, str(file)).returncode == 1
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_bundle_takes_no_file_away(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "mine.zip"
    file.write_bytes(b"mine")
    done = home.imgq("doctor", "--bundle", str(file))
    assert done.returncode == 4
    assert b"File exists" in done.stderr
    assert file.read_bytes() == b"mine"


def test_a_bundle_that_has_no_room_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "disk", "64k") as disk:
        disks.fill(disk / "all")
        with pytest.raises(Refused, match="No space left on device"):
            bundle.write(os.fspath(disk / "mine.zip"), [], False)
        assert not (disk / "mine.zip").exists()


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("nothing of the kind", "nothing of the kind"),
        ("cannot read /home/ann/my pics/a: b.jpg: Permission denied", "cannot read …: Permission denied"),
        ("cannot read /home/ann/x: y", "cannot read …"),
        ("'/home/ann' is offline", "'…"),
        ('  File "/home/ann/venv/lib/site-packages/imgqd/app.py", line 3, in f',
         "  File …site-packages/imgqd/app.py, line 3, in f"),
        ('  File "/home/ann/mine.py", line 3, in f', '  File "…'),
        ("2 of 4/5 are done", "2 of 4…"),
    ],
)  # fmt: skip
def test_a_line_is_cut_at_its_first_path(line: str, left: str) -> None:
    assert bundle.without_paths(line + "\n") == left + "\n"


def status(**changes: Any) -> wire.Status:
    fields: dict[str, Any] = {
        "version": "0.1.0",
        "pid": 1,
        "processes": (),
        "uptime_s": 1.0,
        "state": "idle",
        "settled": True,
        "model": wire.ModelState(name="builtin", dim=256, state="ready"),
        "index": wire.IndexState(
            files=0, pictures=0, pending=0, failed=0, offline=0, ignored=0, bytes=0
        ),
        "roots": (),
        "rates": wire.Rates(pictures_per_s=0.0),
        "counters": wire.Counters(),
        "degraded": (),
    }
    return wire.Status(**{**fields, **changes})
