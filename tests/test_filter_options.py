"""The options that narrow a search, as they are written."""

from __future__ import annotations

import os
from typing import Any

import pytest

from imgq import wire
from imgq.cli import search
from imgq.cli.options import parse
from imgq.errors import UsageError

MOST = 1 << 62


def request(*words: str) -> wire.Search:
    asked = parse(list(words))
    return search.request(asked, search.terms(asked))


def asked(*words: str) -> wire.Filter:
    return request("beach", *words).filter


def ranges(option: str, *written: str) -> list[tuple[str, int | None, int | None]]:
    words = [word for each in written for word in (option, each)]
    return [
        (each.of, each.low if each.low > -MOST else None, each.high if each.high < MOST else None)
        for each in asked(*words).ranges
    ]


def test_nothing_narrows_unless_it_is_said() -> None:
    assert asked() == wire.Filter()


def test_all_that_can_be_said() -> None:
    found = asked(
        *("--in", "a", "--in", "/b", "--camera", " Leica ", "--camera", "canon", "--lens", "50mm"),
        *("--ext", ".JPG", "--ext", "png,*.webp", "--near", "52.37,-4.89,10", "--text", "a b"),
        *("--text", "c", "--orientation", "Portrait", "--orientation", "square"),
        *("--orientation", "square"),
    )
    assert found == wire.Filter(
        within=(os.fsencode(os.path.abspath("a")), b"/b"),
        cameras=("Leica", "canon"),
        lenses=("50mm",),
        extensions=("jpg", "png", "webp"),
        near=(wire.Near(lat=52.37, lon=-4.89, km=10),),
        orientations=("portrait", "square"),
        words="a b c",
    )


def test_of_several_dates_the_narrowest_counts() -> None:
    found = asked("--after", "2023", "--after=2024", "--before", "2026", "--before", "2025")
    once = asked("--after", "2024", "--before", "2025")
    assert found == once
    assert found.after
    assert found.before
    assert found.before.clock - found.after.clock == 366 * 86400


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (">2MP", [("pixels", 2_000_001, None)]),
        (">=2mp", [("pixels", 2_000_000, None)]),
        ("< 2.5 megapixels", [("pixels", None, 2_499_999)]),
        ("<=.5MP", [("pixels", None, 500_000)]),
        ("12MP", [("pixels", 11_500_000, 12_499_999)]),
        ("=12.2MP", [("pixels", 12_150_000, 12_249_999)]),
        (">=1920x1080", [("width", 1920, None), ("height", 1080, None)]),
        ("<1920X1080", [("width", None, 1919), ("height", None, 1079)]),
        ("640\u00d7480", [("width", 640, 640), ("height", 480, 480)]),
        ("<500KB", [("bytes", None, 499_999)]),
        (">1.5MiB", [("bytes", 1_572_865, None)]),
        (">1.0000001KB", [("bytes", 1001, None)]),
        ("300B", [("bytes", 300, 300)]),
        (">=999999999999GB", [("bytes", 1 << 61, None)]),
    ],
)
def test_sizes(written: str, found: list[Any]) -> None:
    assert ranges("--size", written) == found


def test_all_of_several_sizes_and_ratings_must_hold() -> None:
    assert ranges("--size", ">1MP", "<2MP") == [
        ("pixels", 1_000_001, None),
        ("pixels", None, 1_999_999),
    ]


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("4", 4, 4),
        (">=4", 4, None),
        ("> 3", 4, None),
        ("<2", None, 1),
        ("<=2", None, 2),
        ("=0", 0, 0),
        ("-1", -1, -1),
    ],
)
def test_ratings(written: str, low: int | None, high: int | None) -> None:
    assert ranges("--rating", written) == [("rating", low, high)]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--size", ["", "2", "big", "2 parsecs", ">", "MP", "-2MP", "1x", "axb", "1e3MP", "1.2.3MP",
                    "\u0662MP", "9" * 20 + "MP"]),
        ("--rating", ["", "6", "-2", ">-1", "****", "4.5", "\u0664", ">=", "nan"]),
        ("--near", ["", "52,4", "52,4,10,1", "91,0,1", "0,181,1", "0,0,0", "0,0,-1", "0,0,99999",
                    "nan,0,1", "0,inf,1", "a,b,c", "52 4 10"]),
        ("--orientation", ["", "upright", "landscapes"]),
        ("--ext", ["", ".", "a/b", "tar.gz", "jpg,,png"]),
        ("--camera", ["", "  "]),
        ("--lens", [""]),
        ("--text", ["", "  ", "!!! ---", '""']),
        ("--after", ["someday"]),
        ("--before", [""]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name_with_an_example(
    option: str, values: list[str]
) -> None:
    for value in values:
        with pytest.raises(UsageError) as refused:
            asked(f"{option}={value}")
        assert option in refused.value.message, value
        assert "\n" not in refused.value.message
        assert refused.value.hint


def test_words_alone_are_a_search() -> None:
    found = request("--text", "holiday rome", "--after", "2024")
    assert (found.terms, found.filter.words) == ((), "holiday rome")


@pytest.mark.parametrize(
    "words", [["--min-score", "0.2"], ["--min-score=auto"], ["--exact"], ["--weights", "1", "2"]]
)
def test_words_alone_take_nothing_that_is_about_likeness(words: list[str]) -> None:
    option = words[0].partition("=")[0]
    with pytest.raises(UsageError, match=f"{option} is about likeness") as refused:
        request("--text", "rome", *words)
    assert option in refused.value.hint
    assert request("beach", "--text", "rome", *words).terms


@pytest.mark.parametrize("words", [["--after", "2024"], ["--in", "/a"], ["--rating", "5"]])
def test_filters_without_a_query_say_what_to_add(words: list[str]) -> None:
    with pytest.raises(UsageError, match="nothing to look for") as refused:
        request(*words)
    assert "--text" in refused.value.hint
