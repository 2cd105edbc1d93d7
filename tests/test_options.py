"""A search's command line."""

from __future__ import annotations

import pytest

from imgq import query
from imgq.cli import manual, search
from imgq.cli.options import TAKES, Asked, parse
from imgq.cli.search import request, terms, weighed, when_settled
from imgq.errors import UsageError


def test_words_and_options_come_in_any_order() -> None:
    asked = parse(["--json", "red", "-k", "3", "car", "--in", "a", "-", "people", "--in=b"])
    assert asked.words == ["red", "car", "-", "people"]
    assert asked.flags == {"--json"}
    assert asked.top == 3
    assert asked.all("--in") == ["a", "b"]
    assert asked.all("--not") == []


@pytest.mark.parametrize("words", [["-k5"], ["-k", "5"], ["--top", "5"], ["--top=5"]])
def test_an_option_has_one_meaning_in_each_spelling(words: list[str]) -> None:
    assert parse(["red", *words]).top == 5


def test_the_last_of_two_is_taken() -> None:
    asked = parse(["--top", "5", "-k", "6", "--timeout=1", "--timeout", "2.5"])
    assert (asked.top, asked.timeout) == (6, 2.5)


def test_what_holds_unless_something_is_said() -> None:
    asked = parse(["red"])
    assert (asked.top, asked.timeout, asked.flags, asked.html) == (20, 30.0, set(), None)


@pytest.mark.parametrize(
    ("word", "flag"),
    [("-l", "--paths"), ("-0", "--null"), ("-h", "--help"), ("--open", "--open")],
)
def test_flags(word: str, flag: str) -> None:
    assert parse([word]).flags == {flag}


def test_a_page_may_be_named() -> None:
    assert (parse(["--html"]).html, parse(["--html"]).flags) == (None, {"--html"})
    assert (parse(["--html=a=b.html"]).html) == "a=b.html"


def test_a_value_may_look_like_an_option() -> None:
    assert parse(["--like", "-", "--like", "--json"]).all("--like") == ["-", "--json"]


def test_a_value_may_be_empty() -> None:
    asked = parse(["--like=", "red"])
    assert (asked.all("--like"), asked.words) == ([""], ["red"])


def test_what_follows_two_dashes_is_words() -> None:
    assert parse(["red", "--", "--json", "-l", "--"]).words == ["red", "--json", "-l", "--"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--nope"], "no option --nope"),
        (["--nope=1"], "no option --nope"),
        (["-x"], "no option -x"),
        (["--pat"], "no option --pat"),
        (["--like"], "--like takes a value: --like FILE"),
        (["red", "-k"], "--top takes a value: --top N"),
        (["--json=yes"], "--json takes no value"),
        (["-lx"], "no option -lx"),
        (["-people"], "said with a space"),
        (["--jsn"], "did you mean --json?"),
        (["--wieghts", "1", "2"], "did you mean --weights?"),
        (["--nothing-like-it"], "`imgq search --help`"),
        (["--weights", "1"], "--weights takes 2 values: --weights A B"),
        (["--weights", "1", "2", "3"], "exactly 2 numbers"),
    ],
)
def test_what_is_no_option_is_named(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(words)


@pytest.mark.parametrize("written", ["0", "-1", "100001", "x", "1.5", "", "²", "1_0"])
def test_a_number_of_hits_has_its_range(written: str) -> None:
    with pytest.raises(UsageError, match=f"1 to 100000, not '{written}'"):
        _ = parse(["--top", written]).top


@pytest.mark.parametrize("written", ["-1", "nan", "inf", "86401", "x", ""])
def test_a_timeout_has_its_range(written: str) -> None:
    with pytest.raises(UsageError, match=f"--timeout takes seconds, 0 to 86400, not '{written}'"):
        _ = parse(["--timeout", written]).timeout


def test_a_number_may_have_more_digits_than_python_reads() -> None:
    with pytest.raises(UsageError, match="1 to 100000"):
        _ = parse(["--top", "9" * 5000]).top


def test_the_ends_of_the_ranges() -> None:
    asked = parse(["--top", "100000", "--timeout", "86400"])
    assert (asked.top, asked.timeout) == (100_000, 86400.0)
    assert parse(["--timeout", "0"]).timeout == 0


@pytest.mark.parametrize("written", ["nan", "inf", "-1", "1001", "x", "", "1_0"])
def test_weights_have_their_range(written: str) -> None:
    complaint = f"takes numbers from 0 to 1000, not '{written}'"
    with pytest.raises(UsageError, match=f"--weights {complaint}"):
        _ = parse(["--weights", "1", written]).weights
    with pytest.raises(UsageError, match=f"--negative-weight {complaint}"):
        _ = parse(["--negative", "x", "--negative-weight", written]).negative_weight


def test_weights_that_weigh_nothing() -> None:
    with pytest.raises(UsageError, match="both are 0"):
        _ = parse(["--weights", "0", "0"]).weights
    with pytest.raises(UsageError, match="there is none"):
        _ = parse(["red", "--negative-weight", "0.3"]).negative_weight


def test_weights_are_two_numbers() -> None:
    assert parse(["--weights", "0.7", "0", "red"]).weights == (0.7, 0)
    assert parse(["--weights=1", "2e0", "red", "3"]).weights == (1, 2)
    assert parse(["red"]).weights is None
    assert parse(["red"]).negative_weight == 0.5


@pytest.mark.parametrize("option", TAKES)
def test_every_option_is_in_the_help(option: str) -> None:
    assert option in manual.help_text().replace(",", " ").replace("[", " ").split()
    assert manual.about(option) in manual.about("all")
    if option != "--all":
        assert manual.about(option.removeprefix("--")) == manual.about(option)


def test_help_fits_a_screen_and_has_examples() -> None:
    lines = manual.help_text().splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)
    assert sum(line.startswith("  imgq ") for line in lines) >= 4
    assert manual.about("-k").startswith("-k, --top N\n")
    with pytest.raises(UsageError, match="no option --nope"):
        manual.about("--nope")


def test_a_request_says_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/me")
    asked = parse(
        ["red", "-", "2:car", "--not", "blue", "--in=~/p", "--in", "a", "--all", "--exact", "-k9"]
    )
    wanted = request(asked, terms(asked))
    assert [(term.text, term.weight) for term in wanted.terms] == [
        ("red", 1),
        ("car", -2),
        ("blue", -1),
    ]
    assert wanted.filter.within == (b"/home/me/p", b"/a")
    assert (wanted.top, wanted.offline, wanted.exact, wanted.timeout) == (9, True, True, 30.0)
    assert request(parse(["red"]), ()).exact is False


def test_waiting_and_the_answer_have_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = parse(["red", "--all", "--timeout", "10"])
    assert when_settled(request(asked, ()), asked).timeout == 10
    waited: list[float] = []
    monkeypatch.setattr(search, "settle", waited.append)
    monkeypatch.setattr(search, "monotonic", lambda: 100.0 + 7 * len(waited))
    asked.flags.add("--wait")
    asks = when_settled(request(asked, ()), asked)
    assert (waited, asks.timeout, asks.offline) == ([10], 3, True)


def title(asked: Asked) -> str:
    return query.printed(weighed(asked, terms(asked)))


def test_a_title_says_what_was_asked() -> None:
    asked = parse(["red", "car", "--like", "a.jpg", "--not", "blue sky"])
    assert title(asked) == "red car + image:a.jpg - blue sky"
    assert title(parse(["--like", "-"])) == "image:-"
    asked = parse(["x", "--like", "./a", "--weights", "3", "0.5", "--negative", "2:y + z"])
    assert title(asked) == "3:x + 0.5:./a - y \\+ z"
    assert title(parse(["x", "--negative", "y", "--negative-weight", ".25"])) == "x - 0.25:y"
