"""The query language on whatever hypothesis comes up with."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgq.errors import UsageError
from imgq.query import MOST_WEIGHT, Wanted, parse, parse_term, printed
from imgq.record import BadField

# What means something, and what is none of it.
PIECES = st.sampled_from(
    ["+", "-", "\\", "\\+", "\\-", " ", "  ", "\t", "\n", "2:", "0.5:", "1e-9:", "-1:", "nan:", "inf:",
     ":", "./", "../", "/", "~/", "image:", "x", "red car", "16:9", "\u3000", "\x1b", "\0", "\udce9",
     "\u0301", "日本"]
)  # fmt: skip
WRITTEN = st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join)
WEIGHTS = st.floats(0, MOST_WEIGHT, exclude_min=True).flatmap(lambda w: st.sampled_from([w, -w]))
# Space at the ends of a term is none of it, and one space is as good as many, but in a path.
TEXTS = WRITTEN.map(lambda text: " ".join(text.encode("utf-8", "replace").decode().split())).filter(
    bool
)
PATHS = WRITTEN.map(str.rstrip).filter(bool)
TERMS = st.one_of(
    st.builds(lambda text, weight: Wanted(text=text, weight=weight), TEXTS, WEIGHTS),
    st.builds(lambda path, weight: Wanted(path=path, weight=weight), PATHS, WEIGHTS),
)
# The same examples at every run, and however slow the machine is.
thorough = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@thorough
@given(st.lists(TERMS, max_size=6))
def test_what_is_printed_is_read_as_the_same_terms(terms: list[Wanted]) -> None:
    assert parse([printed(terms)]) == terms


@thorough
@given(st.lists(TERMS, max_size=6))
def test_a_shell_may_have_split_it(terms: list[Wanted]) -> None:
    assert parse(printed(terms).split(" ")) == terms


@thorough
@given(st.lists(WRITTEN, max_size=4))
def test_no_words_crash_it(words: list[str]) -> None:
    said = complaint(words)
    if said:
        assert all(line.isprintable() for line in said.splitlines()[1:3])
    else:
        assert parse([printed(parse(words))]) == parse(words)


def complaint(words: list[str]) -> str:
    try:
        parse(words)
    except UsageError as error:
        return str(error)
    return ""


@thorough
@given(WRITTEN, WEIGHTS)
def test_no_term_crashes_it(written: str, weight: float) -> None:
    try:
        term = parse_term(written, weight)
    except (UsageError, BadField):
        return
    assert (term.text is None) != (term.path is None)
