"""The search command as people and programs use it: a real client, a real daemon, real pipes."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Home
from library import ESCAPE, NEWLINE, NO_TEXT, TAKES_ANY_NAME, library
from pictures import encoded, jpeg, painted

FIELDS = [
    "rank", "score", "path", "width", "height", "format", "bytes", "mtime", "taken_at",
    "date_from", "camera", "gps", "hash", "offline",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("cli")) as home:
        yield home


def answer(home: Home, *words: str, stdin: bytes = b"") -> bytes:
    """What stands on stdout of a search that has hits; nothing may stand on stderr."""
    done = home.imgq(*words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def names(home: Home, *words: str, stdin: bytes = b"") -> list[str]:
    """The hits, below the folder of pictures."""
    lines = answer(home, "-0", *words, stdin=stdin).split(b"\0")
    assert lines.pop() == b""
    return [os.path.relpath(os.fsdecode(line), home.pictures) for line in lines]


def test_a_line_a_hit_best_first(home: Home) -> None:
    first, second, *_ = answer(home, "red", "car").decode("utf-8", "replace").splitlines()
    assert first == f"1.000\t{home.pictures}/red.jpg"
    assert re.match(r"-?0\.\d{3}\t/", second)


def test_search_is_the_same_for_words_that_are_a_command(home: Home) -> None:
    assert answer(home, "search", "red") == answer(home, "red")
    assert json.loads(answer(home, "search", "red", "--json"))["query"] == "red"
    everything = len(home.indexed())
    assert len(answer(home, "search", "stop", "sign", "--jsonl").splitlines()) == everything
    assert len(names(home, "--", "stop")) == everything


def test_paths_alone_end_in_newlines_or_in_nul(home: Home) -> None:
    red = os.fsencode(home.pictures / "red.jpg")
    assert answer(home, "red", "-k", "1", "-l") == red + b"\n"
    assert answer(home, "red", "-k1", "--paths") == red + b"\n"
    assert answer(home, "red", "--top=1", "-0") == red + b"\0"
    assert answer(home, "--null", "red", "--top", "1") == red + b"\0"


def test_all_hits_unless_fewer_are_wanted(home: Home) -> None:
    found = names(home, "red")
    assert sorted(found) == sorted(os.path.relpath(path, home.pictures) for path in home.indexed())
    assert names(home, "red", "-k", "3") == found[:3]


def test_json_has_the_fields_of_the_contract(home: Home) -> None:
    found = json.loads(answer(home, "brown", "-k", "2", "--json"))
    assert list(found) == ["query", "model", "took_ms", "index", "results"]
    assert (found["query"], found["model"]) == ("brown", "builtin")
    files = len(home.indexed())
    assert found["index"] == {"files": files, "pending": 0, "failed": 1, "settled": True}
    camera, other = found["results"]
    assert list(camera) == FIELDS
    path = home.pictures / "camera.png"
    assert camera["hash"] == home.indexed()[path]
    assert camera["mtime"] == utc(path.stat().st_mtime)
    del camera["hash"], camera["mtime"]
    assert camera.pop("score") == pytest.approx(1, abs=1e-3)
    assert camera == {
        "rank": 1,
        "path": str(path),
        "width": 40,
        "height": 30,
        "format": "PNG",
        "bytes": path.stat().st_size,
        "taken_at": "2025-03-01T09:58:00",
        "date_from": "exif",
        "camera": "Canon EOS 5D",
        "gps": {"lat": pytest.approx(52.1), "lon": pytest.approx(4.3)},
        "offline": False,
    }
    assert (other["rank"], other["camera"], other["gps"]) == (2, None, None)
    assert (other["taken_at"], other["date_from"]) == (None, "file")


def utc(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_jsonl_is_a_hit_a_line(home: Home) -> None:
    lines = answer(home, "red", "--jsonl").splitlines()
    results = json.loads(answer(home, "red", "--json"))["results"]
    assert [json.loads(line) for line in lines] == results
    assert [hit["rank"] for hit in results] == list(range(1, len(results) + 1))


def test_a_folder_narrows(home: Home) -> None:
    sub = home.pictures / "sub"
    assert sorted(names(home, "red", "--in", str(sub))) == ["sub/again.jpg", "sub/yellow.jpg"]
    done = subprocess.run(
        [sys.executable, "-m", "imgq", "red", "-l", "--in", ".", "--in", "nowhere"],
        cwd=sub,
        env=home.environment,
        capture_output=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 2


def test_no_hits_is_1_and_silence(home: Home) -> None:
    done = home.imgq("red", "--in", str(home.pictures / "nowhere"))
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    done = home.imgq("red", "--in", str(home.pictures / "nowhere"), "--json")
    assert (done.returncode, json.loads(done.stdout)["results"]) == (1, [])


def test_like_a_picture_which_is_left_out(home: Home) -> None:
    yellow = str(home.pictures / "sub" / "yellow.jpg")
    like = names(home, "--like", yellow)
    assert {"sub/yellow.jpg", "sub/again.jpg"} & set(like) == set()
    assert len(like) == len(home.indexed()) - 2
    assert names(home, yellow) == names(home, f"image:{yellow}") == like


def test_like_a_picture_of_another_folder_or_on_stdin(home: Home) -> None:
    outside = jpeg(home.folder / "outside.jpg", "red", size=(50, 50))
    data = encoded(painted("red", (50, 50)), "PNG")
    assert names(home, "--like", str(outside))[0] == "red.jpg"
    assert names(home, "--like", "-", stdin=data)[0] == "red.jpg"
    assert names(home, "image:-", stdin=data)[0] == "red.jpg"
    assert outside not in home.indexed()


def test_what_is_not_wanted_and_weights(home: Home) -> None:
    def shown(*words: str) -> list[tuple[str, float]]:
        results = json.loads(answer(home, *words, "--json"))["results"]
        return [(hit["path"], hit["score"]) for hit in results]

    less = shown("yellow - red")
    assert less == shown("yellow", "-", "red") == shown("yellow", "--not", "red")
    assert less != shown("yellow")
    assert shown("yellow", "+", "2:red") == shown("0.5:yellow + red")
    assert shown("--like", str(home.pictures / "red.jpg"), "-", "yellow")


def test_waiting_settles_first(home: Home) -> None:
    fresh = jpeg(home.pictures / "fresh.jpg", "white")
    try:
        assert names(home, "white", "--wait", "-k", "1") == ["fresh.jpg"]
    finally:
        fresh.unlink()
        home.settle()


def test_a_page_of_the_answer(home: Home) -> None:
    target = home.folder / "page.html"
    assert answer(home, "red", f"--html={target}") == b""
    page = target.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "red.jpg" in page
    named = answer(home, "red", "-k", "1", "--html").decode()
    temporary = Path(named.rstrip("\n"))
    assert temporary.is_absolute()
    assert "red.jpg" in temporary.read_text()
    temporary.unlink()


def test_a_temporary_page_that_cannot_be_written_is_not_left(home: Home, tmp_path: Path) -> None:
    # Half of a compiled module would stay, too.
    environment = home.environment | {"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    small = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"]
    done = subprocess.run(
        [*small, sys.executable, "-m", "imgq", "red", "--html"],
        env=environment,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"cannot write" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--like", __file__], "cannot be used"),
        (["--like", "-"], "cannot be used"),
        (["red", "--html=/nowhere/page.html"], "cannot write '/nowhere/page.html'"),
    ],
)
def test_what_only_the_answer_shows_to_be_wrong(
    home: Home, words: list[str], complaint: str
) -> None:
    done = home.imgq(*words, stdin=b"no picture")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"imgq: ")
    assert complaint in done.stderr.decode()


@pytest.mark.parametrize("name", [NEWLINE, ESCAPE])
def test_a_pipe_has_the_true_bytes_of_a_name(home: Home, name: str) -> None:
    path = os.fsencode(home.pictures / name)
    query = {NEWLINE: "orange", ESCAPE: "pink"}[name]
    assert answer(home, query, "-k1", "-0") == path + b"\0"
    assert answer(home, query, "-k1", "-l") == path + b"\n"
    assert answer(home, query, "-k1") == b"1.000\t" + path + b"\n"
    written = answer(home, query, "-k1", "--jsonl")
    assert json.loads(written)["path"] == os.fsdecode(path)
    assert written.count(b"\n") == 1
    assert b"\x1b" not in written


@pytest.mark.skipif(not TAKES_ANY_NAME, reason="file systems here take names in UTF-8 only")
def test_a_name_that_is_no_text(home: Home) -> None:
    path = os.fsencode(home.pictures) + b"/" + NO_TEXT
    assert answer(home, "purple", "-k1", "-l") == path + b"\n"
    hit = json.loads(answer(home, "purple", "-k1", "--jsonl"))
    assert hit["path"] == str(home.pictures / "caf\ufffd.jpg")
    assert base64.b64decode(hit["path_bytes"]) == path
    assert list(hit) == [*FIELDS[:3], "path_bytes", *FIELDS[3:]]
    assert os.path.basename(path) not in answer(home, "--like", os.fsdecode(path), "-l")
    like = json.loads(answer(home, "--like", os.fsdecode(path), "--json"))
    assert like["query"] == str(home.pictures / "caf\ufffd.jpg")


def on_a_terminal(home: Home, *words: str, **more: Any) -> bytes:
    """What a terminal is sent, on stdout and stderr."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "imgq", *words],
        env=home.environment | {"TERM": "dumb"} | more,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        sent = b""
        try:
            while part := os.read(ours, 1 << 16):
                sent += part
        except OSError:
            pass  # how Linux says that nobody has the other end any more
        os.close(ours)
    return sent


def test_a_terminal_is_not_steered_by_a_name(home: Home) -> None:
    for words in (["pink", "orange"], ["pink", "-l"], ["pink", "--json"], ["pink", "--jsonl"]):
        sent = on_a_terminal(home, *words)
        assert b"\x1b" not in sent
        assert b"\x07" not in sent
        assert b"red alert" in sent
    assert rb"\x1b[31mred alert\x07.jpg" in on_a_terminal(home, "pink")
    assert rb"new\x0aline.jpg" in on_a_terminal(home, "orange")


def test_the_builtin_model_says_so_on_a_terminal(home: Home) -> None:
    assert b"builtin model is for a first try" in on_a_terminal(home, "red")


def test_help_is_on_stdout_and_plain(home: Home) -> None:
    for words in (["--help"], ["-h"], [], ["search", "--help"], ["red", "-h"], ["add", "--help"]):
        text = answer(home, *words)
        assert text.lower().startswith(b"usage: imgq")
        assert b"\x1b" not in text
    assert re.fullmatch(rb"imgq, version \S+\n", answer(home, "--version"))


def test_a_reader_that_goes_is_141(home: Home) -> None:
    for words in (["red"], ["red", "--json"], ["files"], ["config", "path"], ["status"], ["-h"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            done = subprocess.run(
                [sys.executable, "-m", "imgq", *words],
                env=home.environment,
                stdout=closed,
                stderr=subprocess.PIPE,
            )
        assert (words, done.returncode, done.stderr) == (words, 141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_an_answer_that_cannot_be_written_is_not_a_missing_one(home: Home) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "imgq", "red"],
            env=home.environment,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 70
    assert done.stderr == b"imgq: cannot write the answer: No space left on device\n"


def test_another_socket_can_be_named(home: Home) -> None:
    address = f"ipc://{home.folder}/home/run/socket"
    elsewhere = {"IMGQ_HOME": str(home.folder / "elsewhere")}
    client = [sys.executable, "-m", "imgq"]
    for words in (
        ["--socket", address, "red"],
        [f"--socket={address}", "red", "-k1"],
        ["red", "--socket", address],
        ["roots", f"--socket={address}"],
    ):
        done = subprocess.run([*client, *words], env=home.environment | elsewhere, timeout=60)
        assert done.returncode == 0
    named = home.environment | elsewhere | {"IMGQ_SOCKET": address}
    assert subprocess.run([*client, "red"], env=named).returncode == 0
    alone = home.environment | elsewhere
    done = subprocess.run([*client, "red"], env=alone, capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"imgq: no daemon is running\nhint: ")
