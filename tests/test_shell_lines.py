"""What a line means to the shell, and what completes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgq.cli.options import TAKES
from imgq.cli.shell_lines import HELP, ORDERS, Line, read
from imgq.cli.shell_prompt import completed


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", Line(order="nothing")),
        (" \t", Line(order="nothing")),
        ("help", Line(order="help")),
        ("?", Line(order="help")),
        (" exit ", Line(order="quit")),
        ("reset", Line(order="reset")),
        ("3", Line(order="open", numbers=(3,))),
        ("1 12", Line(order="open", numbers=(1, 12))),
        ("open 3 1", Line(order="open", numbers=(3, 1))),
        ("more 3", Line(order="more", numbers=(3,))),
        ("less 2 4", Line(order="less", numbers=(2, 4))),
        ("like 3", Line(order="like", numbers=(3,))),
        ("like 3 + snow -k 5", Line(order="like", numbers=(3,), words=("+", "snow", "-k", "5"))),
    ],
)
def test_orders(line: str, meant: Line) -> None:
    assert read(line) == meant


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("red car", "red|car"),
        ('"red car" - people', "red car|-|people"),
        ("grandma's house", "grandma's|house"),
        ("'tis the season", "'tis|the|season"),
        ('say "x', 'say|"x'),
        ("--in '/a b' x", "--in|/a b|x"),
        ('""', ""),
        ("beach k:50", "beach|--top=50"),
        ("k:20", "--top=20"),
        ("k:many", "k:many"),
        (r"\16:9 \+ x", r"\16:9|\+|x"),
        (r"\help", r"\help"),
        (r"\3", r"\3"),
        ("search help", "help"),
        ("search 3", "3"),
        ("help me", "help|me"),
        ("more cats", "more|cats"),
        ("more 3 cats", "more|3|cats"),
        ("less", "less"),
        ("open road", "open|road"),
        ("like father", "like|father"),
        ("3 cats", "3|cats"),
        ("\u0661", "\u0661"),
    ],
)
def test_all_else_is_a_query(line: str, words: str) -> None:
    assert read(line) == Line(order="search", words=tuple(words.split("|")))


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_in_the_help(order: str) -> None:
    assert order in HELP or order == "exit"


def test_help_fits_a_screen() -> None:
    assert len(HELP.splitlines()) <= 24
    assert all(len(line) <= 80 for line in HELP.splitlines())


def test_orders_and_options_are_completed() -> None:
    assert completed("mo", []) == ["more "]
    assert completed("mo", ["more"]) == []
    assert completed("--js", ["red"]) == ["--json ", "--jsonl "]
    assert len(completed("--", [])) == len(TAKES)


def test_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub [1]").mkdir()
    (tmp_path / "sub [1]" / "a.jpg").touch()
    (tmp_path / "sun.jpg").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert completed("./su", ["red", "+"]) == ["./sub [1]/", "./sun.jpg "]
    assert completed("image:su", []) == ["image:sub [1]/", "image:sun.jpg "]
    assert completed("~/su", []) == ["~/sub [1]/", "~/sun.jpg "]
    assert completed("./sub [1]/", []) == ["./sub [1]/a.jpg "]
    assert completed("su", ["--in"]) == ["sub [1]/"]
    assert completed("su", ["--like"]) == ["sub [1]/", "sun.jpg "]
    assert completed("su", []) == []
