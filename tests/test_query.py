"""The query language, from words to terms."""

from __future__ import annotations

import pytest

from imgq.errors import QueryError, UsageError
from imgq.query import MOST_TERMS, MOST_TEXT, Wanted, balanced, check, parse, parse_term, printed

Term = tuple[str, float]


def read(*words: str) -> list[Term]:
    """Texts and weights; a picture's path in angle brackets."""
    return [
        (term.text if term.path is None else f"<{term.path}>", term.weight)
        for term in parse(list(words))
    ]


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        (["red", "car"], [("red car", 1)]),
        (["red car"], [("red car", 1)]),
        (["  red \t car\n"], [("red car", 1)]),
        (["horse", "+", "stripes", "-", "people"], [("horse", 1), ("stripes", 1), ("people", -1)]),
        (["horse + stripes - people"], [("horse", 1), ("stripes", 1), ("people", -1)]),
        (["horse", "+ wild stripes"], [("horse", 1), ("wild stripes", 1)]),
        (["beach at sunset", "-", "people"], [("beach at sunset", 1), ("people", -1)]),
        (["a  -  b"], [("a", 1), ("b", -1)]),
        (["x-ray", "c++"], [("x-ray c++", 1)]),
        (["- people + beach"], [("people", -1), ("beach", 1)]),
        (["+", "stripes"], [("stripes", 1)]),
        (["2:golden", "retriever"], [("golden retriever", 2)]),
        (["beach", "-", "0.5:people"], [("beach", 1), ("people", -0.5)]),
        ([".5: people"], [("people", 0.5)]),
        (["1000:x"], [("x", 1000)]),
        (["ratio:wide"], [("ratio:wide", 1)]),
        ([":x"], [(":x", 1)]),
        (["1e2:x"], [("x", 100)]),
        (["1_0:x"], [("1_0:x", 1)]),
        (["16 : 9"], [("16 : 9", 1)]),
        (["red\n+\tblue"], [("red", 1), ("blue", 1)]),
        ([r"x \\+ y"], [(r"x \+ y", 1)]),
        (["image: \\+"], [("< +>", 1)]),
        (["٣:x"], [("٣:x", 1)]),
        (["./a.jpg"], [("<./a.jpg>", 1)]),
        (["../a.jpg"], [("<../a.jpg>", 1)]),
        (["/a.jpg"], [("</a.jpg>", 1)]),
        (["~/a.jpg"], [("<~/a.jpg>", 1)]),
        (["image:a.jpg"], [("<a.jpg>", 1)]),
        (["image:/a  b.jpg"], [("</a  b.jpg>", 1)]),
        (["./a  b.jpg", "+", "snow"], [("<./a  b.jpg>", 1), ("snow", 1)]),
        (["0.5:./pool.jpg + beach"], [("<./pool.jpg>", 0.5), ("beach", 1)]),
        (["beach", "-", "image:b.jpg"], [("beach", 1), ("<b.jpg>", -1)]),
        (["~cat"], [("~cat", 1)]),
        ([r"\16:9"], [("16:9", 1)]),
        ([r"2:\16:9"], [("16:9", 2)]),
        ([r"\./a.jpg"], [("./a.jpg", 1)]),
        ([r"\image:x"], [("image:x", 1)]),
        (["c", r"\+", "d"], [("c + d", 1)]),
        ([r"rock \- roll"], [("rock - roll", 1)]),
        ([r"\- people"], [("- people", 1)]),
        ([r"\\x"], [(r"\x", 1)]),
        ([r"./a \- b.jpg"], [("<./a - b.jpg>", 1)]),
        ([], []),
        ([""], []),
        ([" "], []),
    ],
)
def test_words_become_terms(words: list[str], terms: list[Term]) -> None:
    assert read(*words) == terms


@pytest.mark.parametrize(
    ("written", "complaint", "place"),
    [
        ("red +", "no term behind `+`", "+"),
        ("red + + blue", "no term behind `+`", "+"),
        ("red - - blue", "no term behind `-`", "-"),
        ("-", "no term behind `-`", "-"),
        ("red + 2:", "no word in the term", ""),
        ("red + \\", "no word in the term", "\\"),
        ("red - image: + blue", "names no picture", "image:"),
        ("red + 0:x y - z", "weight of '0:x y'", "0:x y"),
        ("red + 1001:x", "weight of '1001:x'", "1001:x"),
        ("9" * 400 + ":x", "is not above 0", "9" * 400 + ":x"),
        ("nan:x", "weight of 'nan:x'", "nan:x"),
        ("red - inf:./a.jpg", "weight of 'inf:./a.jpg'", "inf:./a.jpg"),
        ("-2:x + y", "weight of '-2:x'", "-2:x"),
        ("red + caf\udce9", r"'caf\udce9' is no text in UTF-8", "caf\udce9"),
    ],
)
def test_what_is_no_term_is_pointed_at(written: str, complaint: str, place: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse([written])
    assert complaint in caught.value.message
    assert caught.value.query[slice(*caught.value.span)] == place


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("red + 0:x + blue", ["  red + 0:x + blue", "        ^^^"]),
        ("red +", ["  red +", "      ^"]),
        ("2:", ["  2:", "    ^"]),
        ("犬 + 0:犬", ["  犬 + 0:犬", "       ^^^^"]),
        ("a\x1b[1m\n+ 0:x", ["  a\\x1b[1m + 0:x", "             ^^^"]),
        (
            "é" * 60 + " + 0:" + "y" * 60,
            [f"  …{'é' * 36} + 0:{'y' * 33}…", f"  {' ' * 40}{'^' * 36}"],
        ),
    ],
)
def test_carets_stand_under_the_place(written: str, lines: list[str]) -> None:
    with pytest.raises(QueryError) as caught:
        parse([written])
    _, line, carets, *_ = str(caught.value).split("\n")
    assert [line, carets] == lines


def test_a_term_can_be_too_long() -> None:
    with pytest.raises(UsageError, match=f"{MOST_TEXT + 1} characters"):
        parse(["x" * (MOST_TEXT + 1)])


@pytest.mark.parametrize(
    ("written", "again"),
    [
        ("red  car", "red car"),
        ("- people + 2.0:beach", "- people + 2:beach"),
        ("0.5:./pool.jpg - image:b.jpg", "0.5:./pool.jpg - image:b.jpg"),
        (r"\16:9 + \\x + rock \+ roll", r"\16:9 + \\x + rock \+ roll"),
        (r"2:\16:9", r"2:\16:9"),
        (r"3:2:x", r"3:\2:x"),
        ("image:./a.jpg", "./a.jpg"),
    ],
)
def test_a_query_is_printed_in_its_own_language(written: str, again: str) -> None:
    assert printed(parse([written])) == again


def test_a_text_is_weighed_against_a_picture() -> None:
    terms = parse(["2:beach + snow + ./a.jpg - 3:people - ./b.jpg"])
    weighed = balanced(terms, 0.7, 0.25)
    assert [term.weight for term in weighed] == [1.4, 0.7, 0.25, -3, -1]
    assert [(term.text, term.path) for term in weighed] == [(t.text, t.path) for t in terms]


@pytest.mark.parametrize(
    ("written", "lacking"), [("red", "picture"), ("./a", "text"), ("./a - x", "text")]
)
def test_there_must_be_a_text_and_a_picture_to_weigh(written: str, lacking: str) -> None:
    with pytest.raises(UsageError, match=f"the query has no {lacking}"):
        balanced(parse([written]), 1, 1)


def test_a_path_that_is_no_text_is_a_path_all_the_same() -> None:
    assert read("./caf\udce9.jpg") == [("<./caf\udce9.jpg>", 1)]


def test_a_single_term_is_not_taken_apart_at_operators() -> None:
    assert parse_term("rock + roll", -1) == Wanted(text="rock + roll", weight=-1)
    assert parse_term("2:./a.jpg", -1) == Wanted(path="./a.jpg", weight=-2)


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ([], "empty"),
        ([Wanted(text="people", weight=-1.0)], "only says what is not wanted"),
        ([Wanted(text="x")] * (MOST_TERMS + 1), f"{MOST_TERMS + 1} terms"),
    ],
)
def test_a_query_that_asks_for_nothing_or_too_much(terms: list[Wanted], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        check(terms)


def test_a_query_that_asks_for_something() -> None:
    check([Wanted(text="people", weight=-1.0), Wanted(path="a.jpg", weight=0.1)])
    check([Wanted(text="x")] * MOST_TERMS)
