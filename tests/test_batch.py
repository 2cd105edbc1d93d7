"""`imgq search --batch`: many queries at once, each answered as if it had been asked alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fake_embedder
from conftest import Home, watching
from imgq import wire
from imgq.cli import batch
from imgq.errors import UsageError
from pictures import jpeg

COLORS = ("red", "green", "blue", "yellow", "orange", "purple")


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A daemon that knows a picture of each color, and two in a folder of their own."""
    with watching(tmp_path_factory.mktemp("batch"), fill) as home:
        yield home


def fill(folder: Path) -> None:
    for color in COLORS:
        jpeg(folder / f"{color}.jpg", color)
    for number, name in enumerate(("one", "two"), 1):
        jpeg(folder / "some" / f"{name}.jpg", number)


def asked(home: Home, lines: str | bytes, *options: str) -> list[Any]:
    """What is said to each line."""
    data = lines.encode() if isinstance(lines, str) else lines
    done = home.imgq("search", "--batch", "-", *options, stdin=data)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer but for the time that it took."""
    return {name: value for name, value in answer.items() if name != "took_ms"}


def test_each_line_is_answered_as_if_alone(colors: Home) -> None:
    picture = colors.pictures / "some" / "one.jpg"
    queries = ["red", "2:green + blue - red", f"{picture}", f"0.5:{picture} + red", "red", "a b  c"]
    found = asked(colors, "\n".join(queries), "-k", "3")
    assert [told(each) for each in found] == [
        told(colors.json(query, "-k", "3")) for query in queries
    ]
    assert len(found[0]["results"]) == 3
    assert picture.name not in json.dumps(found[2]["results"])


@pytest.mark.parametrize("options", [["--exact"], ["--in", "some"], ["-k", "1"], ["--wait"]])
def test_options_hold_for_every_line(colors: Home, options: list[str]) -> None:
    options = [str(colors.pictures / word) if word == "some" else word for word in options]
    found = asked(colors, "red\nblue - green\n", *options)
    alone = [colors.json(query, *options) for query in ("red", "blue - green")]
    assert [told(each) for each in found] == list(map(told, alone))


def test_a_file_is_read_from_where_it_lies(colors: Home, tmp_path: Path) -> None:
    (tmp_path / "queries").write_bytes(b"red\r\nblue\r\n")
    done = colors.imgq("search", f"--batch={tmp_path / 'queries'}", "--jsonl", "-k", "1")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["query"] for each in found] == ["red", "blue"]
    assert [Path(each["results"][0]["path"]).name for each in found] == ["red.jpg", "blue.jpg"]


def test_so_many_that_they_take_several_messages(
    colors: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By their number, by their pictures, by those pictures' sizes, and by the hits that are asked for."""
    from imgq.cli import main

    picture = colors.pictures / "some" / "one.jpg"
    queries = [color for color in COLORS for _ in range(3)] + [str(picture)] * 5
    (tmp_path / "queries").write_text("\n".join(queries))
    messages = []
    real = batch.stream

    def counted(asks: wire.Batch, timeout: float) -> Iterator[wire.Reply]:
        messages.append(len({term.query for term in asks.terms}))
        return real(asks, timeout)

    monkeypatch.setattr(batch, "stream", counted)
    monkeypatch.setattr(wire, "MOST_QUERIES", 8)
    monkeypatch.setattr(batch, "MOST_PICTURES", 3)
    assert main.run(["search", "--batch", str(tmp_path / "queries")]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert messages == [8, 8, 5, 2]
    assert [each["query"] for each in found] == queries
    assert [each["results"][0]["path"].rpartition("/")[2] for each in found[:18]] == [
        f"{color}.jpg" for color in COLORS for _ in range(3)
    ]
    messages.clear()
    assert main.run(["search", "--batch", str(tmp_path / "queries"), "-k", "100000"]) == 0
    assert messages == [5, 5, 5, 5, 3]
    assert len(capfd.readouterr().out.splitlines()) == len(queries)


def test_more_hits_than_memory_takes_are_refused(colors: Home) -> None:
    terms = tuple(wire.BatchTerm(query=number, text="red") for number in range(6))
    options = wire.Search(terms=(), top=wire.MOST_TOP)
    with pytest.raises(UsageError, match="are the most"):
        colors.ask(wire.Batch(options=options, terms=terms))


def wrong(home: Home, data: bytes, *options: str) -> tuple[int, str]:
    done = home.imgq("search", "--batch", "-", *options, stdin=data)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"red\n\nblue\n", "line 2: the query is empty"),
        (b"red\nblue\n- green\n", "line 3: the query only says"),
        (b"red\n0:blue\n", "line 2: "),
        (b"red\nblue +\n", "line 2: "),
        (b"red\n./nothing-here.jpg\n", "line 2: cannot read the picture"),
        (b"red\n\xff\xfe\n", "line 2: "),
        (b"", "the batch is empty"),
    ],
)
def test_a_bad_line_is_named_and_nothing_answered(colors: Home, lines: bytes, words: str) -> None:
    code, said = wrong(colors, lines)
    assert (code, said.count(words)) == (2, 1), said


def test_a_picture_that_cannot_be_read_is_named_with_its_line(colors: Home, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    code, said = wrong(colors, f"red\nblue\n{tmp_path / 'text.jpg'}\n".encode())
    assert code == 2
    assert "line 3: the picture 'text.jpg' of the query cannot be used" in said


@pytest.mark.parametrize(
    "options", [["red"], ["--like", "a.jpg"], ["--not", "red"], ["--html"], ["-0"], ["-l"]]
)
def test_what_does_not_go_with_a_batch(colors: Home, options: list[str]) -> None:
    code, said = wrong(colors, b"red\n", *options)
    assert code == 2
    assert "batch" in said


@pytest.mark.parametrize("name", ["nothing", "folder"])
def test_a_file_that_is_none(colors: Home, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    done = colors.imgq("search", "--batch", str(tmp_path / name))
    assert done.returncode == 2
    assert name in done.stderr.decode()


def test_without_a_hit_the_code_says_so(new_home: Callable[..., Home]) -> None:
    home = new_home().start()
    done = home.imgq("search", "--batch", "-", stdin=b"red\nblue\n")
    assert done.returncode == 1
    assert [json.loads(line)["results"] for line in done.stdout.splitlines()] == [[], []]


def test_all_texts_are_embedded_at_once(colors: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgqd.search.texts import TextTower
    from test_search import CARD

    asked: list[list[str]] = []
    real = fake_embedder.FakeTexts.embed
    monkeypatch.setattr(
        fake_embedder.FakeTexts,
        "embed",
        lambda self, texts: (asked.append(list(texts)), real(self, texts))[1],
    )
    for name, value in fake_embedder.environment().items():
        if name != "PYTHONPATH":
            monkeypatch.setenv(name, value)
    texts = TextTower(CARD)
    texts.start()
    (first,) = texts.embed(["b"], 60.0)
    found = texts.embed(["a", "b", "c", "a"], 60.0)
    assert asked == [["b"], ["a", "c"]]
    assert (found[1] == first).all()
    assert (found[0] == found[3]).all()
    assert (found[0] != found[2]).any()
