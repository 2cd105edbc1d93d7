"""`imgq model`: which model is used, changed by a person while the daemon goes on answering."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import change
import spaces_apart
from conftest import PATIENCE_S, Home, until
from fake_embedder import COLORS
from imgq import wire
from imgq.errors import UsageError
from pictures import png
from test_follow import following


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One for all of these, which leave it with builtin alone."""
    folder = tmp_path_factory.mktemp("home")
    home = Home(folder, change.environment(folder / "embedded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
        spaces_apart.add_cards(folder / "home")
        change.filled(home, 10).start()
        home.watch()
        home.settle()
        home.model = None
        yield home
        home.kill()


def done(home: Home, *words: str) -> str:
    """What stands on stderr of a command that succeeds."""
    answer = home.imgq(*words)
    assert answer.returncode == 0, answer.stderr
    return answer.stderr.decode()


def refusal(home: Home, code: int, *words: str) -> str:
    answer = home.imgq(*words)
    assert (answer.returncode, answer.stdout) == (code, b""), answer
    assert b"Traceback" not in answer.stderr
    return answer.stderr.decode()


def rows(home: Home) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in home.json("model", "list")}


def is_used(home: Home, name: str) -> Callable[[], bool]:
    return lambda: home.status().model.name == name and home.status().change is None


def settings(home: Home) -> str:
    return (home.folder / "home" / "settings.toml").read_text()


def test_another_one_is_used_by_the_same_daemon(home: Home) -> None:
    before = home.status()
    spaces_apart.tell(home.folder / "home", "second", "waits")
    said = done(home, "model", "use", "second")
    assert said.startswith("imgq: builtin answers until 20 pictures are embedded by second; ")
    assert 'model = "second"' in settings(home)
    listed = rows(home)
    assert (listed["builtin"]["role"], listed["builtin"]["in_use"]) == ("used", True)
    assert (listed["second"]["role"], listed["second"]["of"]) == ("coming", 20)
    assert "coming, 0 of 20" in home.imgq("model", "list").stdout.decode()
    shown = home.json("status")
    assert shown["change"]["model"] == "second"
    assert (shown["change"]["done"], shown["change"]["of"]) == (0, 20)
    assert "change   to second: 0 of 20 pictures" in home.imgq("status").stdout.decode()
    spaces_apart.tell(home.folder / "home", "second", "waits", False)
    until(is_used(home, "second"), "the change")
    # Once more changes nothing.
    assert done(home, "model", "use", "second") == ""
    assert rows(home)["second"]["in_use"] is True
    done(home, "start", "--model", "builtin")
    until(is_used(home, "builtin"), "the change back")
    done(home, "config", "set", "model", "third")
    until(is_used(home, "third"), "a change by the settings")
    done(home, "model", "use", "builtin")
    until(is_used(home, "builtin"), "the last change")
    after = home.status()
    assert after.pid == before.pid
    assert after.uptime_s > before.uptime_s


def test_one_that_cannot_be_remembered_is_told(home: Home) -> None:
    def unwritten() -> list[wire.Trouble]:
        return [each for each in home.status().degraded if each.code == "unwritten"]

    # Nobody can write a file there, root neither.
    in_the_way = home.folder / "home" / f".settings.toml.{home.status().pid}"
    in_the_way.mkdir()
    assert "the model second is not remembered" in done(home, "model", "use", "second")
    until(is_used(home, "second"), "the change")
    assert 'model = "second"' not in settings(home)
    [told] = unwritten()
    assert "the model second is not remembered, and the next start changes back" in told.message
    assert told.path == os.fsencode(home.folder / "home" / "settings.toml")
    [command] = re.findall("`imgq (.*)`", told.remedy)
    assert told.message in home.imgq("status").stdout.decode()
    # That is what the file says.
    done(home, "model", "use", "builtin")
    assert unwritten() == []
    until(is_used(home, "builtin"), "the change back")
    done(home, "model", "use", "second")
    assert len(unwritten()) == 1
    in_the_way.rmdir()
    done(home, *command.split())
    assert unwritten() == []
    assert 'model = "second"' in settings(home)
    done(home, "model", "use", "builtin")
    until(is_used(home, "builtin"), "the last change")


def test_one_that_is_kept_can_be_asked_by_name(home: Home) -> None:
    assert "no vectors of second" in refusal(home, 4, "red", "--model", "second")
    assert "a model's name" in refusal(home, 2, "red", "--model", "")
    done(home, "model", "use", "second", "--keep")
    until(is_used(home, "second"), "the change")
    assert "kept beside it: builtin" in home.imgq("status").stdout.decode()
    assert rows(home)["builtin"]["role"] == "kept"
    for name in ("builtin", "second"):
        found = json.loads(home.imgq("search", "red", "--model", name, "--json").stdout)
        assert found["model"] == name
        assert found["results"][0]["path"] == str(home.pictures / "red.png")
        assert found["results"][0]["score"] > change.NEAR
    like = home.pictures / "blue.png"
    by_picture = home.imgq("--like", os.fspath(like), "--model", "builtin", "-l", "-k", "1")
    assert by_picture.returncode == 0, by_picture.stderr
    queries = home.folder / "queries.txt"
    queries.write_text("red\nblue\n")
    batch = home.imgq("search", "--batch", str(queries), "--model", "builtin", "-k", "1")
    assert [json.loads(line)["model"] for line in batch.stdout.splitlines()] == ["builtin"] * 2
    assert "is in use" in refusal(home, 2, "model", "drop", "second")
    done(home, "model", "use", "builtin")
    until(is_used(home, "builtin"), "the change back")
    assert [each.name for each in home.status().models] == ["builtin"]
    assert "no vectors of second" in refusal(home, 2, "model", "drop", "second")


def test_one_that_is_not_there_changes_nothing(home: Home) -> None:
    before = settings(home)
    home.settings(before + "offline = true\n")
    said = refusal(home, 4, "model", "use", "fast")
    assert "imgq model pull fast" in said
    assert (home.status().change, settings(home)) == (None, before + "offline = true\n")


def test_settings_that_name_one_that_is_not_there_say_so(home: Home) -> None:
    before = settings(home)
    home.settings('model = "builtin"\noffline = true\n')
    said = refusal(home, 4, "config", "set", "model", "fast")
    assert (
        "set, but the settings cannot be used, and those before stay in force: the weights" in said
    )
    assert 'model = "fast"' in settings(home)
    spaces_apart.tell(home.folder / "home", "second", "waits")
    said = done(home, "config", "set", "model", "second")
    assert said.startswith("imgq: builtin answers until 20 pictures are embedded by second; ")
    spaces_apart.tell(home.folder / "home", "second", "waits", False)
    until(is_used(home, "second"), "the change")
    assert done(home, "config", "set", "model", "second") == ""
    home.settings(before)
    done(home, "model", "use", "builtin")
    until(is_used(home, "builtin"), "the last change")


def test_settings_that_are_no_toml_keep_the_model(home: Home) -> None:
    """A client that cannot see the file has the daemon look."""
    before = settings(home)
    home.settings("model = ")
    for request in (wire.UseModel(name="second"), wire.DropModel(name="second")):
        with pytest.raises(UsageError, match="is no TOML, and nothing was changed"):
            home.ask(request)
    assert refusal(home, 2, "model", "use", "second")
    assert (home.status().change, home.status().model.name) == (None, "builtin")
    home.settings(before)


def test_who_follows_is_told_of_each_once_while_models_change(home: Home) -> None:
    """By the one that answers, and by the next one from its first moment on."""
    folder, numbers = home.pictures / "new", itertools.count()

    def arrive() -> str:
        file = folder / f"{next(numbers)}.png"
        return os.fspath(png(file, change.named(COLORS["red"]), (30 + next(numbers), 32)))

    def told() -> str:
        return follower.line().partition("\t")[2]

    with following(home, "red", "--min-score", "0.9") as follower:
        for name in ("second", "builtin", "third", "builtin"):
            spaces_apart.tell(home.folder / "home", name, "waits")
            done(home, "model", "use", name)
            amid = {arrive(), arrive()}
            assert {told(), told()} == amid
            png(folder / f"{next(numbers)}.png", change.named(COLORS["blue"]), (29, 32))
            at_the_switch = {arrive(), arrive()}
            spaces_apart.tell(home.folder / "home", name, "waits", False)
            until(is_used(home, name), "the change")
            assert {told(), told()} == at_the_switch
        last = arrive()
        assert told() == last
        home.settle()
        assert follower.is_silent
        assert (follower.said, follower.process.poll()) == ([], None)
    shutil.rmtree(folder)
    home.settle()


def test_one_that_is_set_while_another_is_fetched_supersedes_it(
    new_home: Callable[..., Home], tmp_path: Path
) -> None:
    home = new_home()
    home.settings('model = "builtin"\n')
    with socket.create_server(("127.0.0.1", 0)) as silent:
        home.environment |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "HF_HOME": os.fspath(tmp_path / "hub"),
        }
        home.start()
        silent.settimeout(PATIENCE_S)
        command = [sys.executable, "-m", "imgq", "config", "set", "model", "fast"]
        with (
            subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE) as first,
            silent.accept()[0] as hub,
        ):
            # At once, before the hub is given up.
            home.settings('model = "builtin"\n')
            assert home.daemon is not None
            home.daemon.send_signal(signal.SIGHUP)
            # Nobody answered, and nobody waits for it.
            hub.settimeout(PATIENCE_S)
            while hub.recv(4096):
                pass
            _, said = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, said) == (0, b"imgq: another model than fast was set meanwhile\n")
    assert "cannot be used" not in home.log


def test_without_a_daemon_it_is_used_from_the_next_start_on(tmp_path: Path) -> None:
    home = Home(tmp_path, change.environment(tmp_path / "embedded"))
    spaces_apart.add_cards(tmp_path / "home")
    done(home, "model", "use", "second")
    assert 'model = "second"' in settings(home)
    assert "--keep is for a daemon to do" in refusal(home, 3, "model", "use", "third", "--keep")
    assert refusal(home, 3, "model", "drop", "third")
    assert rows(home)["second"]["role"] == "used"
