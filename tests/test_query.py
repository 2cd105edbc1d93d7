"""The query language, from words to terms."""

from __future__ import annotations

import pytest

from imgq.errors import UsageError
from imgq.query import MOST_TERMS, MOST_TEXT, Wanted, check, parse, parse_term

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
        (["1e3:x"], [("1e3:x", 1)]),
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
    ("words", "complaint"),
    [
        (["red", "+"], "no word in the term"),
        (["red + + blue"], "no word in the term"),
        (["red", "-", "-", "blue"], "no word in the term"),
        (["-"], "no word in the term"),
        (["2:"], "no word in the term '2:'"),
        (["\\"], "0 characters"),
        (["0:x"], "weight of '0:x'"),
        (["1001:x"], "weight of '1001:x'"),
        (["9" * 400 + ":x"], "is not above 0"),
        (["x" * (MOST_TEXT + 1)], f"{MOST_TEXT + 1} characters"),
        (["caf\udce9"], r"'caf\\udce9' is no text in UTF-8"),
    ],
)
def test_what_is_no_term_is_named(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(words)


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
