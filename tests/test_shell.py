"""`imgq shell` as a person types into it, on a pseudo-terminal, and as a script feeds it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Home, until
from library import library
from terminals import Terminal

PROMPT = b"imgq> "


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("shell")) as home:
        yield home


def fed(home: Home, *lines: str) -> tuple[list[str], str]:
    """The lines that it says to the lines that it is fed, and what stands on stderr."""
    done = home.imgq("shell", stdin="".join(f"{line}\n" for line in lines).encode())
    assert done.returncode == 0, done.stderr
    return done.stdout.decode("utf-8", "replace").splitlines(), done.stderr.decode()


def answers(home: Home, *lines: str) -> list[tuple[str, list[str]]]:
    """Each query, as it was understood, with the paths that it found."""
    said, trouble = fed(home, "--json", *lines)
    assert trouble == ""
    told = map(json.loads, said)
    return [(each["query"], [hit["path"] for hit in each["results"]]) for each in told]


def test_query_after_query(home: Home) -> None:
    said, trouble = fed(home, "red k:2", "", "blue - red k:1")
    assert trouble == ""
    assert said[0] == f"  1  1.000\t{home.pictures}/red.jpg"
    assert said[1].startswith("  2  ")
    assert said[2].startswith("  1  ")
    assert said[2].endswith("/blue.jpg")
    assert len(said) == 3


def test_options_alone_hold_until_a_reset(home: Home) -> None:
    sub = f"{home.pictures}/sub"
    found = answers(home, f"--in {sub}", "k:1", "red", "k:2", "blue", "reset", "--json", "red k:1")
    assert [query for query, _ in found] == ["red", "blue", "red"]
    assert [len(paths) for _, paths in found] == [1, 2, 1]
    assert {path.rpartition("/")[0] for _, paths in found[:2] for path in paths} == {sub}
    assert found[2][1] == [f"{home.pictures}/red.jpg"]


def test_what_holds_refuses_no_line_that_it_is_not_about(home: Home) -> None:
    """A held option counts again for the next line that it is about."""
    red, blue = f"{home.pictures}/red.jpg", f"{home.pictures}/blue.jpg"
    found = answers(
        home, "--min-score 0.99 --exact", "--text blue", "red", "reset",
        "--json --weights 0.5 1 --negative-weight 0.3", "red k:1", "--text blue",
        f"red k:1 --like {blue}", "red k:1 --negative blue",
    )  # fmt: skip
    assert [paths for _, paths in found[:2]] == [[blue], [red]]
    assert [query for query, _ in found[2:]] == [
        "red", "blue", f"0.5:red + {blue}", "red - 0.3:blue",
    ]  # fmt: skip
    said, trouble = fed(
        home, "--json", "red k:1 --paths", "--min-score 0.99", "--text blue --exact"
    )
    assert said[0] == red
    assert "--exact is about likeness" in trouble


def test_numbers_make_queries_of_hits(home: Home) -> None:
    red, blue = f"{home.pictures}/red.jpg", f"{home.pictures}/blue.jpg"
    found = answers(
        home, "red k:1", "like 1 k:3", "red k:1", "--like 1 k:3", "blue k:1", "like 1 + red"
    )
    like = home.json("--like", red, "-k3")
    assert found[1] == found[3] == (red, [hit["path"] for hit in like["results"]])
    both = home.json("red", "--like", blue)
    assert found[5] == (f"{blue} + red", [hit["path"] for hit in both["results"]])


def test_more_and_less_refine_the_last_query(home: Home) -> None:
    found = answers(home, "k:2", "red + yellow", "more 1", "less 1", "more 1")
    firsts = [paths[0] for _, paths in found]
    queries = ["red + yellow"]
    queries.append(f"{queries[-1]} + {firsts[0]}")
    queries.append(f"{queries[-1]} - 0.5:{firsts[1]}")
    queries.append(f"{queries[-1]} + {firsts[2]}")
    assert [query for query, _ in found] == queries
    assert not set(firsts[:3]) & set(found[3][1])


def test_what_holds_weighs_a_query_once_however_often_it_is_refined(home: Home) -> None:
    blue = f"{home.pictures}/blue.jpg"
    found = answers(home, "k:1", "--weights 0.5 1", f"red + {blue}", "more 1", "more 1")
    first, second, third = (query for query, _ in found)
    assert first == f"0.5:red + {blue}"
    assert second.startswith(f"{first} + /")
    assert third.startswith(f"{second} + /")


def test_what_is_wrong_ends_nothing(home: Home) -> None:
    said, trouble = fed(
        home,
        "--batch x",
        "red +",
        "--nope",
        "7",
        "more 1",
        "k:0",
        "--like /nowhere",
        "- red",
        "help",
        "red k:1",
        "2",
    )
    complaints = [line for line in trouble.splitlines() if line.startswith("imgq: ")]
    expected = [
        "a query at a time", "no term behind", "no option --nope",
        "no hit 7: the last answer is none yet", "no hit 1", "--top", "No such file",
        "only says what is not wanted", "no hit 2: the last answer has 1",
    ]  # fmt: skip
    assert len(complaints) == len(expected)
    assert all(words in line for words, line in zip(expected, complaints, strict=True))
    assert any(line.endswith("/red.jpg") for line in said)
    assert any("like 3" in line for line in said)


def test_a_hit_is_opened_by_the_desktop(home: Home) -> None:
    program = home.folder / "bin" / "xdg-open"
    program.parent.mkdir(exist_ok=True)
    opened = home.folder / "opened"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {opened}\n')
    program.chmod(0o755)
    (program.parent / "open").symlink_to("xdg-open")
    environment = home.environment | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    from sys import executable

    lines = b"red k:3\n1\nopen 2\nexit\n3\n"
    done = subprocess.run(
        [executable, "-m", "imgq", "shell"], input=lines, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    hits = [line.partition(b"\t")[2] for line in done.stdout.splitlines()]
    until(lambda: opened.exists() and opened.read_bytes().count(b"\n") == 2, "both are opened")
    assert sorted(opened.read_bytes().splitlines()) == sorted(hits[:2])


def test_on_a_terminal(home: Home) -> None:
    terminal = Terminal(size=(24, 200, 0, 0))
    before = terminal.modes()
    child = terminal.run("shell", environment=home.environment, TERM="dumb")

    def asked(line: str, answer: bytes) -> None:
        start = len(terminal.sent)
        terminal.type(line)
        terminal.until(lambda: answer in terminal.sent[start:] and terminal.sent.endswith(PROMPT))

    terminal.until(lambda: terminal.sent.endswith(PROMPT))
    asked("red k:1\r", b"  1  1.000\t" + os.fsencode(home.pictures) + b"/red.jpg\r\n")
    asked("mo\t1\r", b"red + " + os.fsencode(home.pictures) + b"/red.jpg")
    asked("half a li\x03", PROMPT)
    asked("nonsense +\r", b"no term behind")
    # The arrow up brings back what was typed.
    asked("\x1b[A\x1b[A\r", b"red + ")
    terminal.type("\x04")
    terminal.finished(child)
    assert terminal.modes() == before
    terminal.close()
    history = home.folder / "home" / "logs" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert history.read_text().splitlines()[:3] == ["red k:1", "more 1", "nonsense +"]


def test_an_interrupt_ends_the_question_and_not_the_shell(home: Home) -> None:
    assert home.daemon
    terminal = Terminal(size=(24, 200, 0, 0))
    child = terminal.run("shell", environment=home.environment, TERM="dumb")
    terminal.until(lambda: terminal.sent.endswith(PROMPT))
    home.suspend()
    try:
        terminal.type("red k:1\r")
        terminal.until(lambda: terminal.sent.endswith(b"red k:1\r\n"))
        start = len(terminal.sent)
        terminal.type("\x03")
        terminal.until(lambda: PROMPT in terminal.sent[start:])
    finally:
        home.daemon.send_signal(signal.SIGCONT)
    start = len(terminal.sent)
    terminal.type("blue k:1\r")
    terminal.until(lambda: re.search(rb"1\.000\t.*/blue.jpg", terminal.sent[start:]))
    terminal.type("quit\r")
    terminal.finished(child)
    terminal.close()


def test_it_outlives_the_daemon(home: Home) -> None:
    terminal = Terminal(size=(24, 200, 0, 0))
    child = terminal.run("shell", environment=home.environment, TERM="dumb")
    terminal.until(lambda: terminal.sent.endswith(PROMPT))
    home.kill()
    terminal.type("red k:1\r")
    terminal.until(
        lambda: b"no daemon is running" in terminal.sent and terminal.sent.endswith(PROMPT)
    )
    home.start()
    home.settle()
    terminal.type("red k:1\r")
    # Before it asks, an end of input is the terminal's to understand and not the shell's.
    terminal.until(lambda: b"/red.jpg" in terminal.sent and terminal.sent.endswith(PROMPT))
    terminal.type("\x04")
    terminal.finished(child)
    terminal.close()


def test_a_history_that_cannot_be_kept_is_no_matter(home: Home, tmp_path: Path) -> None:
    environment = home.environment | {"IMGQ_SOCKET": f"ipc://{home.folder}/home/run/socket"}
    (tmp_path / "logs").touch()
    terminal = Terminal()
    child = terminal.run("shell", environment=environment, IMGQ_HOME=str(tmp_path), TERM="dumb")
    terminal.until(lambda: terminal.sent.endswith(PROMPT))
    terminal.type("red k:1\r")
    terminal.until(lambda: b"/red.jpg" in terminal.sent and terminal.sent.endswith(PROMPT))
    terminal.type("\x04")
    terminal.finished(child)
    terminal.close()
