"""A daemon, real files with notes in them and beside them, and the filters and words of a person."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from conftest import Home, until, watching
from imgqd.records import METADATA
from pictures import jpeg, notes, painted, png, write
from test_notes import WHOLE, item, listed, packet, record, with_records

NIKON = {"make": "NIKON CORPORATION", "model": "NIKON D90"}
TAKEN = datetime(2024, 2, 29, 12, 0, 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One daemon for all who only ask."""
    with (
        pytest.MonkeyPatch.context() as patch,
        watching(tmp_path_factory.mktemp("home"), library) as home,
    ):
        patch.setenv("TZ", "Europe/Berlin")
        yield home


def library(root: Path) -> None:
    place = (52.37, 4.89)
    jpeg(root / "rome" / "one.jpg", 1, exif=notes(**NIKON, taken=TAKEN, place=place))
    jpeg(root / "rome" / "two.jpg", 2, (200, 300), xmp=WHOLE)
    (root / "iptc.jpg").write_bytes(
        with_records(record(5, b"Caf\xe9 in Paris") + record(25, b"sea"))
    )
    png(root / "plain.png", 4, (100, 100))
    os.utime(root / "plain.png", (datetime(2020, 6, 1, 12).timestamp(),) * 2)
    jpeg(root / "beside.jpg", 5, exif=notes(taken=TAKEN))
    (root / "beside.xmp").write_bytes(
        packet(listed("dc:title", "Alt", item("Beside Rome")), 'xmp:Rating="5"')
    )


def found(home: Home, *words: str) -> set[str]:
    done = home.imgq(*words, "-l")
    assert done.returncode in (0, 1), done.stderr
    assert bool(done.stdout) == (done.returncode == 0)
    root = os.fsencode(home.pictures) + b"/"
    return {line.removeprefix(root).decode() for line in done.stdout.splitlines()}


ONE, TWO, IPTC, PLAIN, BESIDE = (
    "rome/one.jpg",
    "rome/two.jpg",
    "iptc.jpg",
    "plain.png",
    "beside.jpg",
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--camera", "nikon d90"], {ONE, TWO}),
        (["--camera", "nikon", "--in", "rome", "--orientation", "portrait"], {TWO}),
        (["--lens", "50MM"], {TWO}),
        (["--ext", "png"], {PLAIN}),
        (["--near", "52.3,4.9,20"], {ONE}),
        (["--near", "-52.4,-5,20"], {TWO}),
        (["--rating", ">=4"], {TWO, BESIDE}),
        (["--rating", "5"], {BESIDE}),
        (["--orientation", "square"], {PLAIN}),
        (["--size", "<0.03MP"], {PLAIN, IPTC}),
        (["--size", "200x300"], {TWO}),
        (["--before", "2021"], {PLAIN}),
        (["--after", "2024-02-29 12:00", "--before", "2024-02-29 12:00:01"], {ONE, BESIDE}),
        (["--after", "2024-03", "--before", "2024-06"], {TWO}),
        (["--text", "rome"], {ONE, TWO, BESIDE}),
        (["--text", "cafe SEA"], {IPTC}),
        (["--text", "title"], {TWO}),
        (["--camera", "martian"], set()),
    ],
)
def test_a_search_is_narrowed(home: Home, words: list[str], expected: set[str]) -> None:
    words = [
        str(home.pictures / word) if word == "rome" and "--in" in words else word for word in words
    ]
    assert found(home, "red", *words) == expected
    assert found(home, "red", "--exact", *words) == expected


def test_an_answer_is_as_long_as_it_can_be(home: Home) -> None:
    for top in ("1", "2"):
        assert len(found(home, "red", "-k", top, "--camera", "nikon")) == int(top)


def test_words_alone_rank_by_how_well_they_fit(home: Home) -> None:
    done = home.imgq("--text", "rome")
    lines = [line.split(b"\t") for line in done.stdout.splitlines()]
    assert [float(score) for score, _ in lines] == sorted(
        (float(s) for s, _ in lines), reverse=True
    )
    assert lines[0][1].endswith(b"beside.jpg")
    assert found(home, "--text", "rome", "--rating", "5") == {BESIDE}
    answer = home.json("--text", "rome", "-k", "1")
    assert (answer["query"], len(answer["results"])) == ("rome", 1)


def test_what_json_tells(home: Home) -> None:
    results = {Path(hit["path"]).name: hit for hit in home.json("red")["results"]}
    fields = ("taken_at", "date_from", "camera", "gps", "width", "height")
    assert [results["one.jpg"][name] for name in fields] == [
        "2024-02-29T12:00:00", "exif", "NIKON D90", {"lat": 52.37, "lon": 4.89}, 320, 240,
    ]  # fmt: skip
    assert results["two.jpg"]["taken_at"] == "2024-05-06T07:08:09+02:00"
    assert results["two.jpg"]["date_from"] == "xmp"
    assert results["plain.png"]["date_from"] == "file"
    assert results["plain.png"]["taken_at"] is None


def test_all_that_info_tells(home: Home) -> None:
    known = home.json("info", str(home.pictures / TWO))
    assert {name: known[name] for name in NOTED} == NOTED
    lines = home.imgq("info", str(home.pictures / TWO)).stdout.decode().splitlines()
    assert "title       Title" in lines
    assert "exposure    1/250 s, f/2.8, ISO 400, 50 mm" in lines
    assert "keywords    sea, sky" in lines
    beside = home.json("info", str(home.pictures / BESIDE))
    assert (beside["title"], beside["rating"]) == ("Beside Rome", 5)
    assert (beside["taken_at"], beside["sidecar"]) == (
        "2024-02-29T12:00:00",
        str(home.pictures / "beside.xmp"),
    )
    unknown = home.json("info", str(home.pictures / "no such.jpg"))
    assert unknown["state"] == "unknown"
    assert (unknown["orientation"], unknown["keywords"]) == (None, [])


NOTED = {
    "taken_at": "2024-05-06T07:08:09+02:00",
    "camera": "NIKON D90",
    "lens": "50mm f/1.8",
    "exposure": {"time_s": 0.004, "f_number": 2.8, "iso": 400, "focal_length_mm": 50.0},
    "title": "Title",
    "description": "A long one",
    "keywords": ["sea", "sky"],
    "rating": 4,
    "orientation": 1,
    "sidecar": None,
}


def test_wrong_input_is_one_line_and_a_hint(home: Home) -> None:
    for words in (
        ["red", "--after", "someday"],
        ["red", "--size", "big"],
        ["--rating", "5"],
        ["--text", "!!"],
        ["red", "--near", "1,2"],
    ):
        done = home.imgq(*words)
        assert (done.returncode, done.stdout) == (2, b"")
        said = done.stderr.decode().splitlines()
        assert len(said) == 2
        assert said[1].startswith("hint: ")


def test_sidecar_that_changes_embeds_nothing(new_home: Callable[..., Home]) -> None:
    home = new_home().start()
    home.watch()
    picture = jpeg(home.pictures / "a.jpg", 1)
    home.settle()

    def rated() -> object:
        home.settle()
        return home.json("info", str(picture))["rating"]

    assert rated() is None
    beside = home.pictures / "a.jpg.xmp"
    for stars in (3, 4):
        new = home.pictures / "new"
        new.write_bytes(packet(attributes=f'xmp:Rating="{stars}"'))
        os.replace(new, beside)
        assert rated() == stars
    with open(beside, "wb") as written:
        written.write(packet(attributes='xmp:Rating="5"'))
        written.flush()
        # nobody has closed it: it is waited for, like a picture
        assert rated() == 5
    beside.write_bytes(b"no XMP")
    assert rated() is None
    beside.write_bytes(packet(attributes='xmp:Rating="2"'))
    assert rated() == 2
    (home.pictures / "b").mkdir()
    picture.rename(home.pictures / "b" / "a.jpg")
    home.settle()
    assert home.json("info", str(home.pictures / "b" / "a.jpg"))["rating"] is None
    beside.rename(home.pictures / "b" / "a.xmp")
    home.settle()
    assert home.json("info", str(home.pictures / "b" / "a.jpg"))["rating"] == 2
    (home.pictures / "b" / "a.xmp").unlink()
    home.settle()
    assert home.json("info", str(home.pictures / "b" / "a.jpg"))["rating"] is None
    status = home.status()
    assert home.embedded() == status.counters.embedded == 1
    assert (status.index.files, status.index.failed) == (1, 0)


def test_metadata_of_an_older_index_is_read_again(new_home: Callable[..., Home]) -> None:
    home = new_home().start()
    home.watch()
    jpeg(home.pictures / "a.jpg", 1, exif=notes(**NIKON), xmp=WHOLE)
    write(home.pictures / "b.png", painted(2))
    home.settle()
    assert home.stop() == 0
    forget = "UPDATE pictures SET noted = 0, title = NULL, rating = NULL, camera = NULL"
    shell = f"import apsw; apsw.Connection({str(home.store)!r}).execute({forget!r}).fetchall()"
    subprocess.run([sys.executable, "-c", shell], check=True)
    home.start()
    known = until(
        lambda: (k := home.json("info", str(home.pictures / "a.jpg")))["title"] and k, "the title"
    )
    assert (known["title"], known["rating"], known["camera"]) == ("Title", 4, "NIKON D90")
    until(lambda: unnoted(home) == [], "that all is read again")
    assert found(home, "--text", "nikon title") == {"a.jpg"}
    status = home.settle()
    assert (home.embedded(), status.counters.embedded, status.index.failed) == (2, 0, 0)


def unnoted(home: Home) -> list[int]:
    import apsw

    connection = apsw.Connection(os.fspath(home.store), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT id FROM pictures WHERE noted < ?", (METADATA,)).fetchall()
    connection.close()
    return [id for (id,) in rows]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("imgq red --camera Ni", ["NIKON\\\\ D90"]),
        ("imgq red --lens ", ["50mm\\\\ f/1.8"]),
        ("imgq red --camera x", []),
    ],
)
def test_shells_complete_what_is_known(home: Home, words: str, offered: list[str]) -> None:
    count = len(words.split()) - (not words.endswith(" "))
    done = subprocess.run(
        [sys.executable, "-m", "imgq"],
        env={
            **home.environment,
            "_IMGQ_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line]
    assert [line.partition(",")[2] for line in lines] == offered, done.stderr
