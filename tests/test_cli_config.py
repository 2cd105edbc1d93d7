"""`imgq config`: the settings in force, written and read as a person does it in a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import pictures
from conftest import Home, until


@pytest.fixture
def home(new_home: Callable[..., Home]) -> Home:
    """One whose daemon has not been started."""
    home = new_home()
    home.settings("")
    return home


def path(home: Home) -> Path:
    return home.folder / "home" / "settings.toml"


def done(home: Home, *words: str) -> str:
    answer = home.imgq("config", *words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.decode()


def refusal(home: Home, code: int, *words: str) -> str:
    answer = home.imgq("config", *words)
    assert (answer.returncode, answer.stdout) == (code, b"")
    assert b"Traceback" not in answer.stderr
    return answer.stderr.decode()


def test_a_file_that_says_what_each_key_does_is_written_once(home: Home) -> None:
    path(home).unlink()
    assert done(home, "init") == f"{path(home)}\n"
    assert "is there already" in refusal(home, 4, "init")
    assert path(home).stat().st_mode & 0o777 == 0o600
    assert done(home, "get", "rescan") == "3600.0\n"


@pytest.mark.parametrize(
    ("words", "line", "got"),
    [
        (["model", "builtin"], 'model = "builtin"', "builtin"),
        (["model", "better"], 'model = "better"', "better"),
        (["rescan", "600"], "rescan = 600", "600.0"),
        (["offline", "true"], "offline = true", "true"),
        (["batch_size", "32"], "batch_size = 32", "32"),
        (["exclude", "*.tmp", "dra fts/"], 'exclude = ["*.tmp", "dra fts/"]', None),
        (["exclude"], "exclude = []", "[]"),
    ],
)
def test_a_value_is_written_as_in_a_shell(
    home: Home, words: list[str], line: str, got: str | None
) -> None:
    path(home).unlink()
    done(home, "init")
    comments = path(home).read_text().count("\n# ")
    done(home, "set", *words)
    assert line in path(home).read_text().splitlines()
    assert f"#{words[0]} = " not in path(home).read_text()
    assert path(home).read_text().count("\n# ") == comments
    if got is not None:
        assert done(home, "get", words[0]) == got + "\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rescna", "60"], "imgq: config set: there is no setting 'rescna'"),
        (["rescna", "60"], "did you mean 'rescan'?"),
        (["rescan", "soon"], "rescan is a number, not 'soon'"),
        (["rescan", "0"], "rescan is at least 1"),
        (["rescan", "-5"], "rescan is at least 1"),
        (["decoders", "1000"], "decoders is at most 64"),
        (["device", "tpu"], "device is one of auto, cpu, cuda, mps"),
        (["offline", "yes"], "offline is true or false"),
        (["model", "a", "b"], "model takes one value"),
        (["model"], "model takes one value"),
        (["model", ""], "model: '' names no model"),
        (["exclude", "caf\udce9"], "is no text in UTF-8"),
        (["model", "multilinugal"], "did you mean multilingual"),
        (["model", "ViT-B-32/none_such"], "which of the weights of ViT-B-32 are meant"),
        (["rescan", "1\nmodel = 'x'"], "rescan is a number"),
    ],
)
def test_what_cannot_be_set_is_one_clear_line(home: Home, words: list[str], complaint: str) -> None:
    path(home).write_text("# mine\n")
    assert complaint in refusal(home, 2, "set", *words)
    assert path(home).read_text() == "# mine\n"


def test_a_model_without_a_name_is_no_setting(home: Home) -> None:
    for written in ("", " "):
        path(home).write_text(f'model = "{written}"\n')
        said = refusal(home, 2, "show")
        assert f"line 1: model: '{written}' names no model" in said
        assert "`imgq config set model fast`" in said


def test_a_key_that_is_not_there_is_named_with_the_nearest(home: Home) -> None:
    assert "did you mean 'rescan'?" in refusal(home, 2, "get", "rescann")


def test_a_file_that_cannot_be_used_is_not_written(home: Home) -> None:
    path(home).write_text("decoderz = 3\n")
    assert "decoderz" in refusal(home, 2, "set", "rescan", "60")
    assert path(home).read_text() == "decoderz = 3\n"


def test_a_value_that_cannot_be_used_is_mended_by_the_command_that_is_told(home: Home) -> None:
    for wrong in ('rescan = "soon"', "[rescan]\nevery = 1", "exclude = [1]", 'listen = "nas"'):
        path(home).write_text(f"# mine\n{wrong}\n")
        said = home.imgq("config", "show")
        assert said.returncode == 2
        [command] = re.findall("`imgq (config set .*)`", said.stderr.decode())
        done(home, *shlex.split(command)[1:])
        assert done(home, "show")
        assert "# mine" in path(home).read_text()
    path(home).write_text('rescan = "soon"\npower = 1\n')
    assert "line 2: power" in refusal(home, 2, "set", "rescan", "60")


def test_a_daemon_takes_what_is_set_at_once(home: Home) -> None:
    home.start()
    home.watch()
    (home.pictures / "drafts").mkdir()
    pictures.png(home.pictures / "drafts" / "a.png")
    before = home.settle()
    assert before.index.files == 1
    done(home, "set", "exclude", "drafts/")
    until(lambda: home.settle().index.files == 0)
    assert home.status().pid == before.pid


def test_without_a_daemon_it_is_said_that_none_has_taken_it(home: Home) -> None:
    answer = home.imgq("config", "set", "rescan", "60")
    assert answer.returncode == 0
    assert b"no daemon is running" in answer.stderr
    assert b"hint" not in answer.stderr
    answer = home.imgq("config", "set", "model", "better")
    assert (answer.returncode, b"`imgq model pull better`" in answer.stderr) == (0, True)
