"""Names that no text, no terminal and no single call of the system can hold."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import oracle
import plugs
import tiny
from conftest import Home

CONTROLS = b"a\x1b[31mred\x07\x9b\r.png"
NAMES = (
    b"caf\xe9 no text.png",
    b"\xff\xfe.png",
    b"new\nline.png",
    b"tab\tand \x7f.png",
    CONTROLS,
    b"x" * 251 + b".png",
    "שלום \u202egnp.png".encode(),
    "\U0001f697.png".encode(),
    b" leading and trailing .png ",
    b"-rf.png",
    b"'quo\"ted' $HOME `id` %s \\.png",
    b"a;b&c|d.png",
)


def test_fault_24_names_that_bite(home: Home) -> None:
    folder = os.fsencode(home.pictures)
    for number, name in enumerate(NAMES):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(tiny.png(number))
        below = os.path.join(folder, b"in", name[:200] + b".d")
        os.makedirs(below)
        with open(os.path.join(below, name), "wb") as file:
            file.write(tiny.png(number))
    truth = oracle.check(home, home.pictures)
    assert len(truth.pictures) == 2 * len(NAMES)
    assert home.embedded() == len(NAMES)
    found = json.loads(home.imgq("red", "-k", "100", "--json").stdout)["results"]
    assert {oracle.path_of(hit) for hit in found} == truth.pictures.keys()
    piped = home.imgq("red", "-k", "100", "-0").stdout
    assert set(piped.split(b"\0")) - {b""} == truth.pictures.keys()
    listed = home.imgq("files", "-0").stdout
    assert sorted(listed.split(b"\0")[:-1]) == sorted(truth.pictures)


def test_fault_24_a_terminal_is_told_no_commands(home: Home) -> None:
    with open(os.path.join(os.fsencode(home.pictures), CONTROLS), "wb") as file:
        file.write(tiny.png(1))
    oracle.check(home, home.pictures)
    for words in (["red"], ["files"], ["info", os.path.join(home.pictures, os.fsdecode(CONTROLS))]):
        shown = on_terminal(home, *words)
        assert b"red" in shown
        assert not set(shown) & {0x07, 0x1B, 0x9B}, shown


def on_terminal(home: Home, *words: str) -> bytes:
    """What a command writes when a terminal is there to show it."""
    controller, terminal = pty.openpty()
    environment = home.environment | {"NO_COLOR": "1"}
    subprocess.run(
        [sys.executable, "-m", "imgq", *words], env=environment, stdout=terminal, check=True
    )
    os.close(terminal)
    with open(controller, "rb", buffering=0) as file:
        return b"".join(_pieces(file.fileno()))


def _pieces(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(descriptor, 1 << 16)
        except OSError:  # Linux has no other end for a terminal that nobody holds
            return
        if not piece:
            return
        yield piece


@contextmanager
def deep(folder: Path, depth: int) -> Iterator[int]:
    """A descriptor of a folder so many folders down, each of 250 bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    for level in range(depth):
        name = f"{level:03}" + "d" * 247
        if not _is_there(name, descriptor):
            os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def put(name: str, folder: int, number: int) -> None:
    descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, dir_fd=folder)
    with open(descriptor, "wb") as file:
        file.write(tiny.png(number))


@pytest.fixture
def dug(home: Home) -> Iterator[Home]:
    """What lies deeper than a path reaches is taken away step by step."""
    yield home
    subprocess.run(["rm", "-rf", str(home.pictures)], check=True)


def test_fault_24_paths_longer_than_the_system_takes(dug: Home) -> None:
    home = dug
    for depth in (14, 17, 35):
        with deep(home.pictures, depth) as folder:
            put("a.png", folder, depth)
            put("b.png", folder, 100 + depth)
    truth = oracle.check(home, home.pictures)
    assert len(truth.pictures) == 6
    assert max(map(len, truth.pictures)) > 8192
    found = json.loads(home.imgq("red", "-k", "100", "--json").stdout)["results"]
    assert {oracle.path_of(hit) for hit in found} == truth.pictures.keys()
    with deep(home.pictures, 35) as folder:
        put("a.png", folder, 1000)
        os.unlink("b.png", dir_fd=folder)
    oracle.check(home, home.pictures)
    assert home.embedded() == 7
    with deep(home.pictures, 16) as folder:
        os.rename("016" + "d" * 247, "moved", src_dir_fd=folder, dst_dir_fd=folder)
    oracle.check(home, home.pictures)
    assert home.embedded() == 7


def test_fault_24_a_path_too_long_to_be_told_is_passed_over_with_a_word(dug: Home) -> None:
    home = dug
    for depth in (100, 280):
        with deep(home.pictures, depth) as folder:
            put(f"{depth}.png", folder, depth)
    home.settle()
    (file,) = oracle.listed(home)
    assert file["path"].endswith(b"/100.png")
    (trouble,) = home.troubles("denied")
    assert "its path is too long" in trouble.message


def test_fault_25_names_that_look_the_same(home: Home) -> None:
    composed = unicodedata.normalize("NFC", "é.png")
    decomposed = unicodedata.normalize("NFD", "é.png")
    for number, name in enumerate((composed, decomposed, "E\u0301.png")):
        (home.pictures / name).write_bytes(tiny.png(number))
    for name in ("a.png", "A.png", "a.PNG"):
        (home.pictures / name).write_bytes(tiny.png(10))
    oracle.agree(home, home.pictures)
    (home.pictures / composed).unlink()
    (home.pictures / "A.png").rename(home.pictures / "A.PNG")
    oracle.agree(home, home.pictures)
    oracle.check(home, home.pictures)


def test_fault_25_only_the_case_of_a_name_changes(home: Home, tmp_path: Path) -> None:
    with plugs.folding(tmp_path) as folder:
        home.watch(folder)
        (folder / "Folder").mkdir()
        for number, name in enumerate(("a.png", "B.png", "Folder/c.png")):
            (folder / name).write_bytes(tiny.png(number))
        oracle.check(home, folder)
        (folder / "a.png").rename(folder / "A.png")
        (folder / "b.PNG").write_bytes(tiny.png(50))
        (folder / "Folder").rename(folder / "fOLDER")
        truth = oracle.agree(home, folder)
        assert os.fsencode(folder / "A.png") in truth.pictures
        assert os.fsencode(folder / "B.png") in truth.pictures
        assert os.fsencode(folder / "fOLDER" / "c.png") in truth.pictures
        assert home.embedded() == 4
        (folder / "c.png").write_bytes(tiny.png(60))
        (folder / "C.png").rename(folder / "fOLDER" / "C.png")
        oracle.agree(home, folder)
        oracle.check(home, folder)
