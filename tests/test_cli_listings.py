"""The commands that tell of the index: status, roots, errors, info, files, reindex, export, wait."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import xxhash
from PIL import Image

import fake_embedder
from conftest import Home, until
from imgq import __version__
from library import ESCAPE, LARGE, NEWLINE, NO_TEXT, TAKES_ANY_NAME, library
from pictures import jpeg

NO_TEXT_FOLDER = b"caf\xe9"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("cli")
    # Made before the daemon starts: files that nobody saw closed are not taken while they are young.
    jpeg(folder / "other" / "a.jpg", 1)
    jpeg(folder / "other" / "b.jpg", 2)
    if TAKES_ANY_NAME:
        jpeg(folder / os.fsdecode(NO_TEXT_FOLDER) / "a.jpg", 3)
    with library(folder) as home:
        yield home


@pytest.fixture
def other(home: Home) -> Iterator[Path]:
    """A second root with two pictures."""
    folder = home.folder / "other"
    assert answer(home, "add", str(folder), "--wait") == b""
    yield folder
    home.imgq("remove", str(folder))


def answer(home: Home, *words: str) -> bytes:
    """What stands on stdout of a command that succeeds; nothing may stand on stderr."""
    done = home.imgq(*words)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def failure(home: Home, code: int, *words: str) -> str:
    """What stands on stderr of a command that fails so; nothing may stand on stdout."""
    done = home.imgq(*words)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b""), said
    assert said.startswith("imgq: ")
    assert "Traceback" not in said
    return said


def test_status_has_the_fields_of_the_contract(home: Home) -> None:
    status = json.loads(answer(home, "status", "--json"))
    assert list(status) == [
        "version", "pid", "processes", "uptime_s", "state", "settled", "model", "index", "roots",
        "rates", "counters", "degraded", "waiting", "memory_bytes", "change", "models",
    ]  # fmt: skip
    assert home.daemon
    assert (status["version"], status["pid"]) == (__version__, home.daemon.pid)
    assert (status["state"], status["settled"]) == ("idle", True)
    assert list(status["model"]) == ["name", "dim", "device", "precision", "engine", "state"]
    assert status["model"]["name"] == "builtin"
    family = [home.daemon.pid, *(each["pid"] for each in status["processes"])]
    most = sum(psutil.Process(pid).memory_info().rss for pid in set(family))
    assert 10_000_000 < status["memory_bytes"] < most
    index = status["index"]
    files = len(home.indexed())
    assert index.pop("bytes") >= home.store.stat().st_size
    assert index == {
        "files": files, "pictures": files - 1, "pending": 0, "failed": 1, "offline": 0, "ignored": 1,
    }  # fmt: skip
    assert status["roots"] == [{"path": str(home.pictures), "state": "watching", "files": files}]
    assert list(status["rates"]) == ["pictures_per_s"]
    assert list(status["counters"]) == [
        "decoded", "embedded", "reused", "failed", "rescans", "overflows", "restarts",
    ]  # fmt: skip


def test_status_tells_the_processes_that_there_are(home: Home) -> None:
    processes = json.loads(answer(home, "status", "--json"))["processes"]
    assert home.daemon
    alive = {home.daemon.pid, *(child.pid for child in psutil.Process(home.daemon.pid).children())}
    assert {process["pid"] for process in processes} == alive
    assert {process["role"] for process in processes} >= {"daemon", "decoder"}


def test_status_for_a_person(home: Home) -> None:
    text = answer(home, "status").decode()
    assert text.startswith(f"imgq {__version__}, idle (pid ")
    assert "1 failed, 0 offline, 1 ignored" in text
    assert re.search(r"^memory   \d+ MB$", text, re.MULTILINE)
    assert f"{home.pictures}  watching" in text
    assert "\x1b" not in text


def test_folders_come_and_go(home: Home, other: Path) -> None:
    assert json.loads(answer(home, "roots", "--json")) == [
        {"path": str(other), "state": "watching", "files": 2},
        {"path": str(home.pictures), "state": "watching", "files": len(home.indexed()) - 2},
    ]
    assert f"watching\t2\t{other}\n".encode() in answer(home, "roots")
    assert answer(home, "add", str(other), str(home.pictures)) == b""
    assert len(json.loads(answer(home, "roots", "--json"))) == 2
    assert answer(home, "remove", str(other)) == b""
    assert [root["path"] for root in json.loads(answer(home, "roots", "--json"))] == [
        str(home.pictures)
    ]
    assert not any(path.parent == other for path in home.indexed())


def test_folders_that_are_not_there(home: Home) -> None:
    assert "there is no folder '/nowhere'" in failure(home, 2, "add", "/nowhere")
    assert "`imgq add ~/Pictures`" in failure(home, 2, "add", "/nowhere")
    assert "/nowhere is not watched" in failure(home, 4, "remove", "/nowhere")
    assert "missing argument" in failure(home, 2, "add")


def test_a_file_is_no_folder_and_the_command_for_its_folder_is_told(home: Home) -> None:
    folder = home.folder / "it's here"
    folder.mkdir()
    jpeg(folder / "a.jpg", "red")
    for command in ("add", "start"):
        said = failure(home, 2, command, str(folder / "a.jpg"))
        assert 'a.jpg" is a file, and no folder' in said
        [told] = re.findall("`imgq (.*)`", said)
        assert shlex.split(told) == [command, str(folder)]


def test_folders_that_hold_nobodys_pictures(home: Home) -> None:
    own = home.folder / "home" / "index"
    link = home.folder / "link to the index"
    link.symlink_to(own)
    for folder in (own, link):
        assert f"{folder} is a folder of imgq's own" in failure(home, 4, "add", str(folder))
    made_up = [folder for folder in ("/proc", "/proc/self", "/sys") if os.path.isdir(folder)]
    for name in made_up if sys.platform == "linux" else []:
        assert "holds no pictures" in failure(home, 4, "add", name)
    # What is above them may be watched: they are left out.
    answer(home, "add", str(home.folder / "home"), "--wait")
    assert not any("home" in path.relative_to(home.folder).parts for path in home.indexed())
    answer(home, "remove", str(home.folder / "home"))


def test_paths_in_no_watched_folder(home: Home) -> None:
    for words in (["red", "--in", "/nowhere"], ["reindex", "/nowhere"]):
        said = failure(home, 2, *words)
        assert said.startswith("imgq: /nowhere is in no watched folder\n")
    beside = f"{home.pictures}-more"
    assert "is in no watched folder" in failure(home, 2, "red", "--in", beside)
    assert answer(home, "red", "--in", "/") == answer(home, "red")


@pytest.mark.skipif(not TAKES_ANY_NAME, reason="file systems here take names in UTF-8 only")
def test_a_folder_whose_name_is_no_text(home: Home) -> None:
    folder = home.folder / os.fsdecode(NO_TEXT_FOLDER)
    answer(home, "add", str(folder), "--wait")
    assert os.fsencode(folder) in answer(home, "status")
    assert os.fsencode(folder) in answer(home, "roots")
    root = json.loads(answer(home, "roots", "--json"))[0]
    assert root["path"] == str(home.folder / "caf\ufffd")
    assert base64.b64decode(root["path_bytes"]) == os.fsencode(folder)
    folder.rename(home.folder / "gone")
    home.settle()
    assert len(home.troubles("offline")) == 1
    answer(home, "status")
    answer(home, "remove", str(folder))
    assert "is not watched" in failure(home, 4, "remove", str(folder))
    assert "there is no folder" in failure(home, 2, "add", str(folder))


def test_offline_files_are_left_out_with_a_note(home: Home, other: Path) -> None:
    away = other.rename(home.folder / "away")
    try:
        home.settle()
        done = home.imgq("red", "-l")
        assert done.returncode == 0
        assert str(other).encode() not in done.stdout
        note = f"imgq: 2 offline files left out ({other}); --all shows them\n"
        assert done.stderr.decode() == note
        hits = json.loads(answer(home, "red", "--all", "--json"))["results"]
        assert sorted(hit["path"] for hit in hits if hit["offline"]) == [
            str(other / "a.jpg"),
            str(other / "b.jpg"),
        ]
        status = json.loads(answer(home, "status", "--json"))
        (trouble,) = (each for each in status["degraded"] if each["code"] == "offline")
        assert list(trouble) == ["code", "path", "message", "remedy"]
        assert trouble["path"] == str(other)
        assert status["index"]["offline"] == 2
        listed = json.loads(answer(home, "files", "--json"))
        assert sum(file["offline"] for file in listed) == 2
    finally:
        away.rename(other)
        home.settle()


def test_errors_have_the_fields_of_the_contract(home: Home) -> None:
    (error,) = json.loads(answer(home, "errors", "--json"))
    assert list(error) == ["path", "reason", "kind", "attempts", "first_seen", "last_seen"]
    assert (error["path"], error["kind"]) == (str(home.pictures / LARGE), "too_large")
    assert "max_megapixels" in error["reason"]
    assert error["attempts"] >= 1
    text = answer(home, "errors").decode()
    assert text.startswith(f"{home.pictures / LARGE}\n    too_large: ")


def test_errors_are_tried_again(home: Home) -> None:
    assert answer(home, "errors", "--retry") == b"1 file is taken again\n"
    home.settle()
    assert len(json.loads(answer(home, "errors", "--json"))) == 1


def test_info_tells_all_of_a_file(home: Home) -> None:
    path = home.pictures / "camera.png"
    known = json.loads(answer(home, "info", str(path), "--json"))
    assert (known["path"], known["state"], known["camera"]) == (
        str(path),
        "indexed",
        "Canon EOS 5D",
    )
    assert (known["model"], known["copies"], known["error"]) == ("builtin", [], None)
    assert known["hash"] == hash_of(path)
    text = answer(home, "info", str(path)).decode()
    assert f"path        {path}\nstate       indexed\n" in text
    assert "gps         lat 52.1" in text


def test_info_tells_copies_and_errors(home: Home) -> None:
    yellow, again = home.pictures / "sub" / "yellow.jpg", home.pictures / "sub" / "again.jpg"
    assert json.loads(answer(home, "info", str(yellow), "--json"))["copies"] == [str(again)]
    assert f"copy        {again}\n".encode() in answer(home, "info", str(yellow))
    failed = json.loads(answer(home, "info", str(home.pictures / LARGE), "--json"))
    assert (failed["state"], failed["error"]["kind"]) == ("failed", "too_large")
    assert b"error       too_large: " in answer(home, "info", str(home.pictures / LARGE))


def test_info_of_other_files(home: Home) -> None:
    note = json.loads(answer(home, "info", str(home.pictures / "note.txt"), "--json"))
    assert note["state"] == "ignored"
    empty = home.pictures / "empty"
    empty.touch()
    home.settle()
    assert b"ignored" in answer(home, "info", str(empty))
    assert json.loads(answer(home, "status", "--json"))["index"]["ignored"] == 2
    empty.unlink()
    assert home.settle().index.ignored == 1
    assert home.imgq("info", str(empty)).returncode == 1
    done = home.imgq("info", "/nowhere", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "unknown"
    assert json.loads(done.stdout)["path"] == "/nowhere"
    assert "missing argument" in failure(home, 2, "info")
    assert "path has 70001 bytes" in failure(home, 2, "info", "/" + "x" * 70_000)


def test_files_lists_each_with_its_hash(home: Home) -> None:
    listed = json.loads(answer(home, "files", "--json"))
    assert {frozenset(file) - {"path_bytes"} for file in listed} == {
        frozenset(["path", "hash", "bytes", "mtime", "offline"])
    }
    there = {file["path"]: file for file in listed if "path_bytes" not in file}
    for name in ("red.jpg", "sub/again.jpg", NEWLINE, ESCAPE):
        path = home.pictures / name
        assert there[str(path)]["hash"] == hash_of(path)
        assert there[str(path)]["bytes"] == path.stat().st_size
    assert str(home.pictures / LARGE) not in there
    paths = sorted(map(os.fsencode, home.indexed()))
    assert sorted(answer(home, "files", "-0").split(b"\0")[:-1]) == paths
    red = home.pictures / "red.jpg"
    assert f"{hash_of(red)}\t{red}\n".encode() in answer(home, "files")


@pytest.mark.skipif(not TAKES_ANY_NAME, reason="file systems here take names in UTF-8 only")
def test_a_name_that_is_no_text_is_whole_in_every_listing(home: Home) -> None:
    path = os.fsencode(home.pictures) + b"/" + NO_TEXT
    assert path + b"\n" in answer(home, "files")
    (file,) = [file for file in json.loads(answer(home, "files", "--json")) if "path_bytes" in file]
    assert base64.b64decode(file["path_bytes"]) == path
    assert b"path        " + path + b"\n" in answer(home, "info", os.fsdecode(path))
    known = json.loads(answer(home, "info", os.fsdecode(path), "--json"))
    assert base64.b64decode(known["path_bytes"]) == path


def hash_of(path: Path) -> str:
    return f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}"


def test_reindex_embeds_again(home: Home) -> None:
    before = home.embedded()
    assert answer(home, "reindex", str(home.pictures / "red.jpg")) == b"1 file is taken again\n"
    home.settle()
    until(lambda: home.embedded() == before + 1, "one picture embedded again")
    everything = home.status().index
    count = everything.pictures + everything.failed
    assert answer(home, "reindex") == f"{count} files are taken again\n".encode()
    home.settle()
    assert home.embedded() == before + 1 + everything.pictures


def test_export_is_what_numpy_reads(home: Home) -> None:
    target = home.folder / "index.npz"
    files = len(home.indexed())
    assert answer(home, "export", "--npz", str(target)) == f"{files} vectors in {target}\n".encode()
    with np.load(target) as exported:
        paths, hashes, vectors = exported["paths"], exported["hashes"], exported["vectors"]
    assert {Path(path): hash for path, hash in zip(paths, hashes, strict=True)} == home.indexed()
    assert (vectors.dtype, vectors.shape) == (np.float32, (files, home.status().model.dim))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for path, vector in zip(paths, vectors, strict=True):
        expected = fake_embedder.vectors(pixels(Path(path)), len(vector))[0]
        assert float(vector @ expected) > 0.999, path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[None]


def test_a_score_is_the_cosine_of_the_exported_vectors(home: Home) -> None:
    target = home.folder / "index.npz"
    answer(home, "export", "--npz", str(target))
    with np.load(target) as exported:
        paths, vectors = exported["paths"], exported["vectors"]
    query = fake_embedder.FakeTexts(type("Card", (), {"dim": vectors.shape[1]})())
    expected = dict(zip(paths, vectors @ query.embed(["green"])[0], strict=True))
    for hit in home.search("green"):
        assert hit.score == pytest.approx(expected[os.fsdecode(hit.path)], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "export takes the file to write"),
        (["--npz"], "requires an argument"),
        (["--npz", "/nowhere/x.npz"], "cannot write '/nowhere/x.npz': No such file"),
    ],
)
def test_an_export_that_cannot_be_written(home: Home, words: list[str], complaint: str) -> None:
    assert complaint in failure(home, 2, "export", *words)


def test_an_export_takes_the_place_of_no_device(home: Home) -> None:
    fifo, folder = home.folder / "fifo", home.folder / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for target in (fifo, folder):
        assert "no regular file" in failure(home, 2, "export", "--npz", str(target))
    assert fifo.is_fifo()


def test_an_export_that_fails_leaves_what_was_there(home: Home) -> None:
    target = home.folder / "kept" / "index.npz"
    target.parent.mkdir()
    target.write_text("what was there")
    nobody = {"IMGQ_HOME": str(home.folder / "elsewhere")}
    home.environment, ours = home.environment | nobody, home.environment
    try:
        assert "no daemon is running" in failure(home, 3, "export", "--npz", str(target))
    finally:
        home.environment = ours
    assert target.read_text() == "what was there"
    assert list(target.parent.iterdir()) == [target]


def test_waiting_returns_when_settled_or_says_that_it_is_not(home: Home) -> None:
    jpeg(home.pictures / "late.jpg", 5)
    assert answer(home, "wait") == b""
    late = home.pictures / "late.jpg"
    assert late in home.indexed()
    late.unlink()
    said = failure(home, 1, "wait", "--timeout", "0")
    assert said.startswith("imgq: not settled within 0 s: ")
    assert answer(home, "wait", "--timeout", "60") == b""
    assert late not in home.indexed()
    assert "range" in failure(home, 2, "wait", "--timeout", "-1")
    assert "'soon'" in failure(home, 2, "wait", "--timeout", "soon")


def test_commands_are_never_abbreviated(home: Home) -> None:
    """An abbreviation is a word like any other, and searched for."""
    assert len(answer(home, "stat", "-0").split(b"\0")) == len(home.indexed()) + 1
    assert "no such option '--js'" in failure(home, 2, "status", "--js")


def test_a_query_by_mistake_for_a_command_does_nothing(home: Home) -> None:
    for words in ("stop sign", "restart button", "remove background"):
        home.imgq(*words.split())
    assert home.daemon
    assert home.status().pid == home.daemon.pid
    assert "imgq search stop sign\n" in failure(home, 2, "stop", "sign")
