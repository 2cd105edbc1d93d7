"""The builtin model's figures, on a sample of a style that it never saw: as `training.evaluate`, in small.

What each is on all of that style, and how the whole is measured, stands in docs/builtin-model.md. A floor
lies a little under what the weights reach here, where there are fewer pictures and other lots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training import model as builtin
from training.compose import Studio
from training.judge import AS_IT_IS, COMPOSED, Judge, backgrounds, colour_pairs, recall, spread
from training.scenery import KINDS, paint
from training.things import Thing, spoken

SAMPLE = Path(__file__).with_name("held_out")
TILE, SCENES, SCENE = 64, 2, 112
if not SAMPLE.is_dir():
    pytest.skip("an sdist has no OpenMoji, which is to be shared alike", allow_module_level=True)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """On one thread: where other tests run beside, each of several would wait for the slowest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Judge(builtin.load())
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def things() -> list[Thing]:
    rows = json.loads((SAMPLE / "things.json").read_text("utf-8"))["things"]
    return [Thing(code, label, spoken(label), frozenset(), group) for code, label, group in rows]


@pytest.fixture(scope="module")
def studio(things: list[Thing]) -> Studio:
    drawn = json.loads((SAMPLE / "things.json").read_text("utf-8"))["drawn"]
    sheet = np.asarray(Image.open(SAMPLE / "openmoji.png").convert("RGBA"))
    art = np.zeros((len(things), TILE, TILE, 4), np.uint8)
    tiles = sheet.reshape(-1, TILE, sheet.shape[1] // TILE, TILE, 4).swapaxes(1, 2)
    art[drawn] = tiles.reshape(-1, TILE, TILE, 4)
    rng = np.random.default_rng(0)
    scenes = [
        [np.asarray(paint(kind, (SCENE, SCENE), rng)) for _ in range(SCENES)] for kind in KINDS
    ]
    return Studio(things, {"openmoji": art}, np.array(scenes))


@pytest.fixture(scope="module")
def pictures(judge: Judge, studio: Studio) -> torch.Tensor:
    """Their vectors, of each thing of the sample one picture."""
    torch.manual_seed(1)
    return judge.look(studio.compose(studio.known, AS_IT_IS, COMPOSED)[0])


def test_things_are_told_from_all_others(
    judge: Judge, studio: Studio, things: list[Thing], pictures: torch.Tensor
) -> None:
    names = list(dict.fromkeys(thing.name for thing in things))
    shown = [things[at].name for at in studio.known.tolist()]
    true = torch.tensor([[one == other for other in names] for one in shown])
    first, ten = recall(pictures @ judge.read(names).T, true)
    assert len(names) > 1800
    assert first >= 27
    assert ten >= 63


def test_a_color_that_is_asked_for_comes_first(
    judge: Judge, studio: Studio, things: list[Thing]
) -> None:
    torch.manual_seed(2)
    [(_, right)] = colour_pairs(judge, things, studio, 100)
    assert right >= 95


def test_a_background_that_is_asked_for_comes_first(
    judge: Judge, studio: Studio, things: list[Thing]
) -> None:
    torch.manual_seed(3)
    [(_, right)] = backgrounds(judge, things, studio, 6)
    assert right >= 92


def test_pictures_do_not_fall_together(pictures: torch.Tensor) -> None:
    (_, cosine), (_, directions) = spread(pictures, "pictures")
    assert cosine <= 10
    assert directions >= 20


def test_words_that_were_never_learned_mean_nothing(judge: Judge) -> None:
    strange = judge.read(["mortgage", "quantum"])
    assert (strange[0] @ strange[1]).item() >= 0.99


def test_the_weights_are_small() -> None:
    assert builtin.WEIGHTS.stat().st_size <= 20_000_000
