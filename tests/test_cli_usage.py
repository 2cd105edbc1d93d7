"""What cannot be asked: one clear line on stderr, exit code 2, and no daemon is missed for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from conftest import Home


@pytest.fixture
def home(new_home: Callable[..., Home]) -> Home:
    """Nothing runs in it."""
    return new_home()


def refusal(home: Home, *words: str, stdin: bytes = b"") -> str:
    """The words on stderr of a usage error: one sentence, one hint at most, no traceback."""
    done = home.imgq(*words, stdin=stdin)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(r"imgq: [^\n]+\n(hint: [^\n]+\n)?", said), said
    return said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([""], "the query is empty"),
        (["--json"], "the query is empty"),
        (["-", "people"], "only says what is not wanted"),
        (["--not", "people"], "only says what is not wanted"),
        (["--like", "a.jpg", "--weights", "1", "1"], "the query has no text"),
        ([" + ".join("x" * 66)], "66 terms"),
        (["x" * 5000], "5000 characters"),
        (["red", "--nope"], "no option --nope"),
        (["red", "--like"], "--like takes a value"),
        (["red", "--json", "--jsonl"], "--json and --jsonl do not go together"),
        (["red", "-l", "-0", "--json"], "--json and --paths do not go together"),
        (["red", "--html=a.html", "--jsonl"], "--jsonl and --html do not go together"),
        (["dupes", "--json", "-0"], "--json and --null do not go together"),
        (["files", "--json", "-0"], "--json and --null do not go together"),
        (["follow", "--json", "-0"], "--json and --null do not go together"),
        (["follow", "--since", "9" * 30], "is not in the range"),
        (["red", "-k", "0"], "1 to 100000"),
        (["red", "-k", "many"], "1 to 100000"),
        (["red", "--timeout", "-1"], "--timeout takes seconds"),
        (["--like", "/"], "no regular file"),
        (["--like", "/dev/zero"], "no regular file"),
        (["--like", "/nowhere.jpg"], "No such file"),
        (["--like", "/dev/null"], "no regular file"),
        (["--like", "-"], "the picture on stdin is empty"),
        (
            ["red", *["--in=/p"] * 65],
            "imgq: too much is asked: within has 65 parts, 64 is the most",
        ),
        (
            ["red", "--lens", "x" * 2000],
            "imgq: too much is asked: lenses has 2000 characters, 1000",
        ),
        (["--like", "x" * 5000], "imgq: too much is asked: path has 5000 characters, 4096"),
        (["info", "/" + "x" * 70000], "imgq: too much is asked: path has 70001 bytes, 65536"),
        (["add", ""], "no folder ''"),
        (["model", "use", ""], "no model ''"),
        (["--socket"], "--socket takes an address"),
        (["--socket", "udp://127.0.0.1:9", "red"], "is no address"),
        (["--socket", "tcp://127.0.0.1:9", "red"], "no key of its own"),
        (["--socket", "ipc:///nowhere/socket", "start"], "no daemon answers on ipc:///nowhere"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(
    home: Home, words: list[str], complaint: str
) -> None:
    assert complaint in refusal(home, *words)


@pytest.mark.parametrize(
    ("words", "carets"),
    [
        (["red", "+"], "red +\n      ^\n"),
        (["red + 0:blue"], "red + 0:blue\n        ^^^^^^\n"),
        (["red", "--not", "nan:blue"], "nan:blue\n  ^^^^^^^^\n"),
    ],
)
def test_what_is_wrong_with_a_query_is_pointed_at(
    home: Home, words: list[str], carets: str
) -> None:
    done = home.imgq(*words)
    assert (done.returncode, done.stdout) == (2, b"")
    said = done.stderr.decode()
    assert re.fullmatch(r"imgq: [^\n]+\n  [^\n]+\n +\^+\nhint: [^\n]+\n", said)
    assert f"\n  {carets}hint: " in said


def test_nobody_may_be_left_to_read_the_complaint(home: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "imgq", "red", "--nope"]
        done = subprocess.run(command, env=home.environment, stderr=closed)
    assert done.returncode == 141


def test_stdin_may_be_closed(home: Home) -> None:
    closed = ["sh", "-c", f"{sys.executable} -m imgq --like - <&-"]
    done = subprocess.run(closed, env=home.environment, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"imgq: the picture on stdin is empty\n"
    shell = ["sh", "-c", f"{sys.executable} -m imgq shell <&-"]
    done = subprocess.run(shell, env=home.environment, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "words",
    ["stop sign", "status symbol", "roots of a tree", "errors in print", "files on a desk",
     "info desk clerk", "wait for me", "logs in a river", "restart button", "export crate",
     "model train", "service station", "config room", "demo kitchen"],
)  # fmt: skip
def test_a_command_with_words_it_does_not_take_does_nothing(home: Home, words: str) -> None:
    """Were anything done, a missing daemon would be told first."""
    assert f"imgq search {words}\n" in refusal(home, *words.split())


def test_settings_in_force(home: Home) -> None:
    path = home.folder / "home" / "settings.toml"
    home.settings('model = "builtin"\nmax_megapixels = 1\n')
    assert home.imgq("config", "path").stdout == f"{path}\n".encode()
    for words in (["config", "show"], ["config"]):
        shown = home.imgq(*words)
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b'model = "builtin"\n' in shown.stdout
        assert b"max_megapixels = 1\n" in shown.stdout
        assert b"idle_unload = 300" in shown.stdout
    home.settings("max_megapixel = 3\n")
    assert "there is no setting 'max_megapixel'" in refusal(home, "config", "show")
