"""The pictures of a query: any regular file is read, and nothing else blocks or surprises."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imgq import pictures
from imgq.cli import search
from imgq.errors import UsageError
from imgq.query import Wanted
from imgq.wire import MOST_PICTURE, Term


def test_a_text_stays_a_text() -> None:
    assert search.term(Wanted(text="red", weight=-2.0)) == Term(text="red", weight=-2.0)


def test_a_file_becomes_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    wanted = Wanted(path=str(tmp_path / "a"), weight=0.5)
    assert search.term(wanted) == Term(picture=b"bytes", name="a", weight=0.5)


def test_a_file_is_read_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    (tmp_path / "b").symlink_to("a")
    assert pictures.read(str(tmp_path / "b")) == b"bytes"


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a").write_bytes(b"bytes")
    assert pictures.read("~/a") == b"bytes"


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        with open(path, "wb") as file:
            file.write(b"bytes")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert pictures.read(os.fsdecode(path)) == b"bytes"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing", "No such file"),
        ("folder", "no regular file"),
        ("fifo", "no regular file"),
        ("socket", "cannot read"),
        ("loop", "cannot read"),
        ("empty", "is empty"),
        ("too\0bad", "null byte"),
        ("x" * 3000, "too long"),
    ],
)
def test_what_is_no_file_is_named_and_does_not_block(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(UsageError, match=complaint) as caught:
            pictures.read(f"{tmp_path}/{name}")
    assert repr(name)[1:-1] in str(caught.value)


def test_a_device_is_no_file() -> None:
    with pytest.raises(UsageError, match="no regular file"):
        pictures.read("/dev/zero")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MOST_PICTURE + 1)
    with pytest.raises(UsageError, match="larger than 64 MiB"):
        pictures.read(str(tmp_path / "large"))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    before = os.open("/dev/null", os.O_RDONLY)
    os.close(before)
    for path in (tmp_path / "a", tmp_path):
        try:
            pictures.read(str(path))
        except UsageError:
            continue
    after = os.open("/dev/null", os.O_RDONLY)
    os.close(after)
    assert before == after
