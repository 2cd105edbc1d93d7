"""What shells complete a line with: click's protocol, and the shells themselves where they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Home, until
from imgq import wire
from imgq.cli import manual
from imgq.cli.main import COMMANDS
from imgq.cli.options import FILTERS, TAKES
from library import library
from terminals import Terminal

SPACED = "My Pictures, (new)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("completion")) as home:
        spaced = home.folder / SPACED
        spaced.mkdir()
        home.ask(wire.Add(paths=(os.fsencode(spaced),)))
        yield home


def completed(home: Home, line: str, shell: str = "fish") -> list[list[str]]:
    """Kind, value and more, an item a list; the last word of the line is what is completed."""
    words = f"imgq {line}"
    told = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    if shell == "fish":
        told["COMP_CWORD"] = words.rpartition(" ")[2]
    done = subprocess.run(
        [sys.executable, "-m", "imgq"],
        env=home.environment | told | {"_IMGQ_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split(",", 1) for line in done.stdout.splitlines() if line]


def values(home: Home, line: str) -> list[str]:
    return [value.partition("\t")[0] for _, value in completed(home, line)]


def test_commands_and_a_searchs_options(home: Home) -> None:
    assert set(values(home, "")) >= COMMANDS
    assert {"start", "status"} <= set(values(home, "sta")) <= COMMANDS
    assert set(values(home, "red --")) >= set(TAKES)
    assert values(home, "red --jso") == ["--json", "--jsonl"]
    assert values(home, "search red --jso") == ["--json", "--jsonl"]
    assert values(home, "--jso") == ["--json", "--jsonl"]
    assert values(home, "red sta") == []
    assert set(values(home, "status --")) == {"--json", "--watch", "--help"}
    assert "list" in values(home, "model ")
    assert FILTERS | {"--since"} <= set(values(home, "follow red --"))
    assert values(home, "follow red --i") == ["--in"]


def test_files_and_watched_folders(home: Home) -> None:
    roots = {str(home.pictures), str(home.folder / SPACED)}
    assert completed(home, "red --like a") == [["file", "a"]]
    assert completed(home, "red + ./a") == [["file", "./a"]]
    for line in ("red --in ", "remove ", "check "):
        assert completed(home, line)[0][0] == "dir"
        # Nobody who types waits long for a daemon that is busy.
        until(lambda line=line: set(values(home, line)[1:]) == roots, "both folders")
    until(lambda: set(values(home, f"red --in {home.folder}")[1:]) == roots, "both folders")
    # What lies there every shell but bash finds by itself.
    assert values(home, f"red --in {home.pictures}")[1:] == []
    until(
        lambda: (
            ["plain", str(home.pictures)] in completed(home, f"red --in {home.pictures}", "bash")
        ),
        "the folder",
    )
    assert completed(home, "add a") == [["dir", "a"]]


def test_known_cameras(home: Home) -> None:
    for line in ("red --camera ", "red --camera can", "follow --camera can"):
        until(lambda line=line: values(home, line) == ["Canon EOS 5D"], "the camera")
    assert values(home, "red --camera nikon") == values(home, "red --lens ") == []


def test_without_a_daemon_there_are_no_folders_and_no_complaint(home: Home, tmp_path: Path) -> None:
    alone = Home(tmp_path, {"PYTHONPATH": home.environment["PYTHONPATH"]})
    assert completed(alone, "red --in /x") == [["dir", "/x"]]
    assert completed(alone, "red --camera c") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(home: Home, shell: str) -> None:
    done = home.imgq("--completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"_IMGQ_COMPLETE=%s_complete" % shell.encode() in done.stdout
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    assert subprocess.run([program, "-n"], input=done.stdout).returncode == 0


def test_another_shell_is_said_to_be_none(home: Home) -> None:
    done = home.imgq("--completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"it is one of bash, fish, zsh" in done.stderr


@pytest.fixture(scope="module")
def environment(home: Home) -> dict[str, str]:
    """In which a shell finds imgq."""
    program = home.folder / "programs"
    program.mkdir()
    (program / "imgq").write_text(f'#!/bin/sh\nexec {sys.executable} -m imgq "$@"\n')
    (program / "imgq").chmod(0o755)
    return home.environment | {"PATH": f"{program}:{os.environ['PATH']}"}


def test_bash_itself_completes(home: Home, environment: dict[str, str]) -> None:
    bash = shutil.which("bash")
    version = bash and subprocess.run([bash, "--version"], capture_output=True, text=True).stdout
    if not version or "version 3." in version:
        pytest.skip("there is no bash from 4.4 on")
    script = """
        eval "$(imgq --completion bash)"
        COMP_WORDS=(imgq red --in "$1"); COMP_CWORD=3
        compopt() { :; }
        _imgq_completion imgq
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    begun = str(home.folder / "My")

    def completed() -> str:
        done = subprocess.run(
            [str(bash), "-c", script, "bash", begun],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    # A daemon that is busy is not waited for. What stands in the line then is a word of bash's for the
    # folder.
    word = until(completed)
    said = subprocess.run([str(bash), "-c", f"printf %s {word}"], capture_output=True, text=True)
    assert said.stdout == str(home.folder / SPACED)


def test_fish_itself_completes(home: Home, environment: dict[str, str]) -> None:
    if not (fish := shutil.which("fish")):
        pytest.skip("fish is not installed")

    def offered(line: str) -> list[str]:
        script = "imgq --completion fish | source; complete -C $argv[1]"
        done = subprocess.run(
            [str(fish), "--no-config", "-c", script, f"imgq {line}"],
            cwd=home.pictures,
            env=environment | {"HOME": str(home.folder)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert offered("red --jso") == ["--json", "--jsonl"]
    assert offered(f"red --in {home.folder}/My") == [f"{home.folder}/{SPACED}/"]
    until(lambda: offered("red --camera can") == ["Canon EOS 5D"])
    until(lambda: str(home.folder / SPACED) in offered("red --in "))
    assert "./blue.jpg" in offered("red + ./b")


def test_zsh_itself_completes(home: Home, environment: dict[str, str]) -> None:
    if not (zsh := shutil.which("zsh")):
        pytest.skip("zsh is not installed")
    terminal = Terminal(size=(24, 500, 0, 0))
    shell = terminal.start(zsh, "-f", "-i", environment=environment | {"HOME": str(home.folder)})

    def says(line: str, words: str) -> None:
        terminal.type(f"{line}\r")
        terminal.until(lambda: words.encode() in terminal.sent)

    def is_asked(line: str, words: str) -> bool:
        before = len(terminal.sent)
        terminal.type(f"imgq {line}\t\r")
        terminal.until(lambda: b">\r\n" in terminal.sent[before:])
        return f"<{words}>".encode() in terminal.sent[before:]

    try:
        terminal.until(lambda: terminal.sent)
        says("autoload -U compinit; compinit -D -u; print compinit=$?", "compinit=0")
        says('eval "$(imgq --completion zsh)"; print completion=$?', "completion=0")
        # What it asks is the program on the path.
        says('imgq() { print -r -- "<${(j:|:)@}>" }; print function=$?', "function=0")
        assert is_asked("red --prev", "red|--preview")
        assert is_asked(f"red --in {home.folder}/My", f"red|--in|{home.folder}/{SPACED}")
        until(lambda: is_asked("red --camera can", "red|--camera|Canon EOS 5D"))
    finally:
        shell.kill()
        shell.wait()
        terminal.close()


def test_every_option_has_its_sentence() -> None:
    described = [name for group in manual.GROUPS.values() for name in group]
    assert sorted(described) == sorted(TAKES)
