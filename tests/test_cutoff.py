"""`--min-score`: where an answer ends, as a number, and as the query's own background tells."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import Home
from imgqd.models import card as cards
from imgqd.models.sense import Sense, sense
from imgqd.search.cutoff import least
from imgqd.search.resident import Resident, Snapshot
from library import library

DIM = 64
CLIP = Sense(scale=100.0)


def scored(scores: np.ndarray) -> tuple[Snapshot, np.ndarray]:
    """Pictures that have these scores by a query, and the query."""
    dice = np.random.default_rng(0)
    rest = dice.standard_normal((len(scores), DIM - 1))
    rest *= (np.sqrt(1 - scores**2) / np.linalg.norm(rest, axis=1))[:, None]
    vectors = np.concatenate([scores[:, None], rest], axis=1).astype(np.float32)
    resident = Resident(DIM)
    resident.add(np.arange(1, len(scores) + 1), vectors)
    return resident.snapshot(), np.eye(DIM, dtype=np.float32)[0]


def background(count: int, middle: float = 0.1, deviation: float = 0.03) -> np.ndarray:
    return np.random.default_rng(1).normal(middle, deviation, count)


@pytest.mark.parametrize("count", [2000, 40_000])
def test_the_background_is_out_and_what_stands_out_is_in(count: int) -> None:
    scores = background(count)
    scores[:20] = 0.3
    snapshot, query = scored(scores)
    bound = least(snapshot, query, CLIP, by_picture=False)
    assert bound < 0.29
    assert np.count_nonzero(scores[20:] >= bound) < math.sqrt(count)


def test_a_query_whose_every_score_is_higher_has_a_higher_bound() -> None:
    bounds = [
        least(*scored(background(5000, middle)), CLIP, by_picture=False) for middle in (0.05, 0.15)
    ]
    assert bounds[1] - bounds[0] == pytest.approx(0.1, abs=0.01)


def test_matches_hardly_move_it() -> None:
    scores = background(5000)
    alone = least(*scored(scores), CLIP, by_picture=False)
    scores[:250] = 0.35
    assert least(*scored(scores), CLIP, by_picture=False) == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_few_pictures_have_a_bound_that_is_the_models(count: int) -> None:
    bound = least(*scored(background(count)), Sense(30.0, bound=0.28, is_measured=True), False)
    assert bound == pytest.approx(0.28, abs=0.02)


def test_pictures_of_few_kinds_are_found_however_far_apart_they_are() -> None:
    scores = np.repeat([-0.43, -0.23, 0.23, 0.35, 0.99], [5, 3, 3, 3, 9])
    bound = least(*scored(scores), Sense(55.7, bound=0.2, is_measured=True), by_picture=False)
    assert 0.2 < bound < 0.35


def test_learned_odds_need_no_background() -> None:
    siglip = Sense(scale=110.0, bias=-16.0)
    for middle in (0.0, 0.1):
        bound = least(*scored(background(10_000, middle)), siglip, False)
        assert bound == pytest.approx((16.0 - math.log(32768) + math.log(100)) / 110)


def test_a_picture_is_compared_with_pictures() -> None:
    scores = background(5000, 0.5, 0.08)
    scores[:3] = 0.93
    bound = least(*scored(scores), CLIP, by_picture=True)
    assert 0.7 < bound < 0.93


def test_what_the_weights_say_is_read_and_anything_else_is_the_usual(tmp_path: Path) -> None:
    builtin = cards.builtin()
    assert builtin
    assert sense(builtin).scale == pytest.approx(55.7, abs=0.1)
    assert sense(builtin).is_measured
    other = replace(builtin, architecture="ViT-B-32", weights=str(tmp_path / "none"))
    assert sense(other) == Sense()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with library(tmp_path_factory.mktemp("cutoff")) as home:
        yield home


def test_a_number_keeps_what_has_it_and_nothing_else(home: Home) -> None:
    every = home.json("red")["results"]
    bound = str(every[2]["score"] - 0.0001)
    assert home.json("red", "--min-score", bound)["results"] == every[:3]
    assert home.json("red", "--min-score", "-1")["results"] == every
    assert len(home.json("red", "--min-score=-1", "-k", "2")["results"]) == 2


def test_nothing_that_passes_is_exit_code_1(home: Home) -> None:
    done = home.imgq("green + blue - red", "--min-score", "1", "--json")
    assert (done.returncode, json.loads(done.stdout)["results"]) == (1, [])
    # A word that the model does not know has a vector of its own, far from all.
    done = home.imgq("zebra crossing", "--min-score", "auto")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert home.imgq("red", "--min-score", "auto").returncode == 0


def test_the_store_itself_is_cut_off_alike(home: Home) -> None:
    for bound in ("auto", "0.5"):
        words = ("red", "--min-score", bound, "-l")
        assert home.imgq(*words, "--exact").stdout == home.imgq(*words).stdout != b""


@pytest.mark.parametrize("bound", ["much", "", "2", "-1.5", "nan", "inf", "Auto"])
def test_what_is_no_bound_is_said(home: Home, bound: str) -> None:
    done = home.imgq("red", "--min-score", bound)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"imgq: --min-score takes a number from -1 to 1, or auto, not ")
