"""`imgq check`: what is wrong is found, and mended; what is only under way is not wrong."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from conftest import Home, until
from pictures import jpeg


@pytest.fixture
def full(home: Home) -> Home:
    """A settled daemon with two folders of pictures, each with a copy of its own in `copies`."""
    for number in range(6):
        source = home.pictures / f"{number % 2}" / f"{number}.jpg"
        jpeg(source, number)
        (home.pictures / "copies").mkdir(exist_ok=True)
        shutil.copy(source, home.pictures / "copies" / source.name)
    home.settle()
    # What was young is read once more, which would mend what is made wrong here.
    with database(home) as connection:
        young = "SELECT count(*) FROM files WHERE NOT trusted"
        until(lambda: not connection.execute(young).get, "every stamp to be trusted")
    return home


@contextmanager
def database(home: Home) -> Iterator[apsw.Connection]:
    """The store, behind the daemon's back."""
    connection = apsw.Connection(os.fspath(home.store))
    connection.set_busy_timeout(5000)
    yield connection
    connection.close()


@dataclass(frozen=True)
class Wrong:
    """What is done to the store."""

    statement: str
    bindings: tuple[Any, ...] = ()

    def found(self, home: Home, *words: str, count: int = 1) -> tuple[int, list[dict[str, Any]]]:
        """What a check says of it, so many findings; done again where a look that nobody asked for was
        faster."""
        for _ in range(9):
            with database(home) as connection:
                connection.execute(self.statement, self.bindings).fetchall()
            code, found = check(home, *words)
            if len(codes(found)) >= count:
                return code, found
            home.settle()
        pytest.fail(home.log)

    def is_mended(self, home: Home, *findings: tuple[str, Path]) -> None:
        """It is found, then repaired, and is no more."""
        expected = [(code, str(path)) for code, path in findings]
        code, found = self.found(home, count=len(findings))
        assert (code, codes(found)) == (1, expected), home.log
        assert not any(finding["repaired"] for finding in found)
        home.settle()
        code, found = self.found(home, "--repair", count=len(findings))
        assert (code, codes(found)) == (0, expected), home.log
        assert all(finding["repaired"] for finding in found)
        home.settle()
        assert check(home) == (0, [])


def check(home: Home, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the findings."""
    done = home.imgq("check", *words, "--json")
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)["findings"]


def codes(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Without what only follows from a wrong row: filters and words know of its file by the old one."""
    pairs = [(finding["code"], finding["path"]) for finding in findings]
    return [(code, path) for code, path in pairs if code != "details"]


CHANGED = Wrong("UPDATE files SET ctime_ns = 1 WHERE name = ?", (b"2.jpg",))


def test_nothing_is_wrong(full: Home) -> None:
    done = full.imgq("check")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"nothing is wrong: 12 files in 4 folders, and 6 pictures, were checked\n"
    whole = full.json("check")
    assert whole == {"files": 12, "folders": 4, "pictures": 6, "skipped": [], "findings": []}


def test_a_file_that_the_index_does_not_have(full: Home) -> None:
    wrong = Wrong(
        "DELETE FROM files WHERE name = ? AND folder = (SELECT id FROM folders WHERE path = ?)",
        (b"3.jpg", os.fsencode(full.pictures / "1")),
    )
    wrong.is_mended(full, ("missing", full.pictures / "1" / "3.jpg"))
    assert full.pictures / "1" / "3.jpg" in full.indexed()
    assert full.embedded() == 6


def test_a_row_whose_file_is_gone(full: Home) -> None:
    wrong = Wrong("UPDATE files SET name = ? WHERE name = ?", (b"ghost.jpg", b"3.jpg"))
    wrong.is_mended(
        full,
        ("missing", full.pictures / "1" / "3.jpg"),
        ("gone", full.pictures / "1" / "ghost.jpg"),
        ("missing", full.pictures / "copies" / "3.jpg"),
        ("gone", full.pictures / "copies" / "ghost.jpg"),
    )
    assert not any(path.name == "ghost.jpg" for path in full.indexed())


def test_a_folder_that_is_gone_is_one_finding(full: Home) -> None:
    ghost, copies = full.pictures / "ghost", full.pictures / "copies"
    wrong = Wrong(
        "UPDATE folders SET path = ? WHERE path = ?", (os.fsencode(ghost), os.fsencode(copies))
    )
    there = [("missing", copies / f"{number}.jpg") for number in range(6)]
    wrong.is_mended(full, *there, ("gone", ghost))
    _, found = wrong.found(full, "--repair")
    assert [each["files"] for each in found if each["code"] != "details"] == [1] * 6 + [6]
    full.settle()
    assert len(full.indexed()) == 12
    assert full.embedded() == 6


def test_a_file_that_has_changed_since(full: Home) -> None:
    CHANGED.is_mended(
        full,
        ("changed", full.pictures / "0" / "2.jpg"),
        ("changed", full.pictures / "copies" / "2.jpg"),
    )


def test_a_picture_that_waits_for_nobody(full: Home) -> None:
    wrong = Wrong("UPDATE embedding_sums SET stale = 1 WHERE picture = 1")
    code, found = wrong.found(full, "--repair")
    assert (code, [each for each, _ in codes(found)]) == (0, ["forgotten"] * 2)
    full.settle()
    # once for each time that it was made to wait
    assert full.embedded() >= 7
    assert check(full) == (0, [])


def test_fault_47_one_flipped_bit_in_a_vector(full: Home) -> None:
    with database(full) as connection:
        chunk, vectors = connection.execute(
            "SELECT rowid, vectors FROM embeddings_1_vector_chunks00"
        ).get
        flipped = bytearray(vectors)
        flipped[100] ^= 1
        connection.execute(
            "UPDATE embeddings_1_vector_chunks00 SET vectors = ? WHERE rowid = ?",
            (bytes(flipped), chunk),
        )
    code, found = check(full)
    assert code == 1
    assert codes(found) == [("vectors", str(full.store))]
    assert "1 pictures have no sound vector" in found[0]["message"]
    assert len(full.search("red")) == 12
    assert check(full, "--repair")[0] == 0
    full.settle()
    assert full.embedded() == 7
    assert check(full) == (0, [])


def test_fault_46_a_vector_table_that_lost_its_rows(full: Home) -> None:
    with database(full) as connection:
        connection.execute("DELETE FROM embeddings_1_rowids")
    assert len(full.search("red")) == 12
    code, found = check(full)
    assert (code, {each for each, _ in codes(found)}) == (1, {"vectors"})
    assert check(full, "--repair")[0] == 0
    full.settle()
    assert check(full) == (0, [])
    assert full.embedded() == 6
    assert len(full.search("red")) == 12


# A number that may not be missing is: SQLite itself finds that, and cannot mend it.
MISSING_NUMBER = Wrong(
    """
    PRAGMA writable_schema = on;
    UPDATE sqlite_schema SET sql = replace(sql, 'stale INTEGER NOT NULL', 'stale INTEGER')
        WHERE name = 'embedding_sums';
    PRAGMA writable_schema = reset;
    UPDATE embedding_sums SET stale = NULL WHERE picture = 1;
    PRAGMA writable_schema = on;
    UPDATE sqlite_schema SET sql = replace(sql, 'stale INTEGER', 'stale INTEGER NOT NULL')
        WHERE name = 'embedding_sums'
    """
)


def test_an_index_that_cannot_be_mended_is_made_anew(full: Home) -> None:
    code, found = MISSING_NUMBER.found(full)
    assert (code, {each for each, _ in codes(found)}) == (1, {"damaged"}), full.log
    code, found = MISSING_NUMBER.found(full, "--repair")
    assert (code, {each for each, _ in codes(found)}) == (0, {"damaged"}), full.log
    assert full.troubles("rebuilt")
    full.settle()
    assert check(full) == (0, [])
    assert len(full.indexed()) == 12


def test_what_is_under_way_is_not_wrong(full: Home) -> None:
    """Files that come, change and go all the while, and a folder that changes its name."""
    ending = threading.Event()

    def churn() -> None:
        number = 0
        while not ending.wait(0.01):
            number += 1
            folder = full.pictures / f"{number % 7}"
            jpeg(folder / f"{number % 30}.jpg", number)
            if number % 5 == 0:
                shutil.rmtree(folder)
            if number % 20 == 0:
                (full.pictures / "copies").rename(full.pictures / "again")
            if number % 20 == 10 and number > 20:
                (full.pictures / "again").rename(full.pictures / "copies")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _ in range(3):
            assert check(full) == (0, [])
    finally:
        ending.set()
        churning.join()
    full.settle()
    assert check(full) == (0, [])


def test_only_what_lies_under_a_folder(full: Home) -> None:
    folder = full.pictures / "0"
    code, found = CHANGED.found(full, str(folder))
    assert (code, codes(found)) == (1, [("changed", str(folder / "2.jpg"))])
    assert full.json("check", str(folder))["folders"] == 1
    assert check(full, str(full.pictures / "1")) == (0, [])
    full.settle()
    assert len(CHANGED.found(full, str(full.folder))[1]) == 2
    shutil.rmtree(folder)
    full.settle()
    assert check(full, str(folder)) == (0, [])
    refused = full.imgq("check", "/nowhere")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"/nowhere is in no watched folder" in refused.stderr


def test_an_emptied_root_is_offline_until_a_person_says_that_it_is_empty(full: Home) -> None:
    full.pictures.rename(full.folder / "away")
    until(lambda: full.status().index.offline == 12, "the root to be missed")
    full.pictures.mkdir()
    full.settle()
    whole = full.json("check")
    assert (whole["findings"], whole["skipped"]) == ([], [str(full.pictures)])
    assert check(full, "--repair")[0] == 0
    assert full.status().index.offline == 12

    assert check(full, "--repair", str(full.pictures))[0] == 0
    status = full.settle()
    assert (status.index.offline, status.index.files) == (0, 0)
    assert [root.state for root in status.roots] == ["watching"]
    assert full.json("check")["skipped"] == []


def test_findings_for_a_person(full: Home) -> None:
    def said(*words: str) -> list[str]:
        for _ in range(9):
            with database(full) as connection:
                connection.execute(CHANGED.statement, CHANGED.bindings)
            done = full.imgq("check", *words)
            if done.stdout.count(b"changed\t") == 2:
                break
            full.settle()
        return done.stdout.decode().splitlines()

    before = said()
    assert before[0] == (
        f"changed\t{full.pictures}/0/2.jpg\t"
        "it has changed since it was indexed; `imgq check --repair` reads it again"
    )
    assert before[-1].startswith("2 wrong: 12 files in 4 folders, ")
    full.settle()
    after = said("--repair")
    assert after[1].endswith("it has changed since it was indexed; repaired")
    assert after[-1].startswith("2 wrong, 2 repaired: 12 files in 4 folders, ")


SLOW = """
import os, time
from fake_embedder import FakeTexts
from imgqd.library.audit import Audit

def looked(self, tops):
    open(os.environ["LOOKING"], "w").close()
    while os.path.exists(os.environ["LOOKING"]):
        time.sleep(0.02)
    return iter([])

Audit.differences = looked
"""


def test_searches_go_on_beside_a_check_and_another_check_is_refused(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    looking = home.folder / "looking"
    (home.folder / "slow.py").write_text(SLOW)
    home.environment["IMGQ_TEST_TEXT"] = "slow:FakeTexts"
    home.environment["PYTHONPATH"] += f"{os.pathsep}{home.folder}"
    home.environment["LOOKING"] = os.fspath(looking)
    jpeg(home.pictures / "red.jpg", "red")
    home.start().watch()
    home.settle()
    assert len(home.search("red")) == 1
    with ThreadPoolExecutor() as pool:
        first = pool.submit(home.imgq, "check")
        try:
            until(looking.exists, "the check")
            others = [pool.submit(home.imgq, "check") for _ in range(14)]
            for each in others:
                assert each.result().returncode == 4
                assert b"another check is under way" in each.result().stderr
            assert len(home.search("red")) == 1
            home.settle()
        finally:
            looking.unlink()
        assert first.result().returncode == 0
