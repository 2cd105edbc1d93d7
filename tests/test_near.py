"""Nearly the same pictures, against a comparison of every pair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imgqd.pictures.sameness import imprint
from imgqd.records import IMPRINT_BYTES
from imgqd.search import near
from imgqd.search.near import Rows, Star, stars
from imgqd.store import Imprints
from pictures import painted

LEAST = 0.98
SIZE = (320, 240)


def of(pictures: list[Image.Image]) -> Imprints:
    values = np.array([list(imprint(picture)) for picture in pictures], np.uint8)
    sizes = np.array([picture.size for picture in pictures])
    return Imprints(np.arange(1, len(values) + 1), values.reshape(-1, IMPRINT_BYTES), sizes)


def agree(first: int, others: Rows) -> np.ndarray:
    return np.ones(len(others), np.bool_)


def found(imprints: Imprints, least: float = LEAST) -> list[Star]:
    return list(stars(imprints, least, agree))


def members(star: Star) -> list[int]:
    return [star.first, *star.others.tolist()]


def saved(picture: Image.Image, **options: object) -> Image.Image:
    file = io.BytesIO()
    picture.convert("RGB").save(file, **options)  # type: ignore[arg-type]
    return Image.open(file).convert("RGB")


@pytest.mark.parametrize(
    "copy",
    [
        lambda one: saved(one, format="JPEG", quality=40),
        lambda one: saved(one, format="WEBP", quality=30),
        lambda one: one.resize((192, 144)),
        lambda one: one.resize((81, 61)),
        lambda one: saved(one.resize((160, 120)), format="JPEG", quality=60),
        lambda one: one.resize((640, 480)),
    ],
)
def test_a_copy_in_another_size_or_quality_is_near(copy: object) -> None:
    for seed in range(6):
        one = painted(seed, SIZE)
        (star,) = found(of([one, painted(seed + 100, SIZE), copy(one)]))  # type: ignore[operator]
        assert members(star) == [0, 2]
        assert star.alike[0] >= LEAST


@pytest.mark.parametrize(
    "other",
    [
        lambda one: one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda one: one.crop((32, 24, 288, 216)),
        lambda one: one.convert("L").convert("RGB"),
        lambda one: one.resize((240, 240)),
        lambda one: Image.eval(one, lambda value: value * 6 // 10),
    ],
)
def test_another_picture_of_the_same_is_not(other: object) -> None:
    for seed in range(6):
        one = painted(seed, SIZE)
        assert found(of([one, other(one)])) == []  # type: ignore[operator]


def test_plain_pictures_are_told_apart_by_their_color() -> None:
    plain = [painted(color, SIZE) for color in ("red", "blue", "black", "white", "#f80000")]
    assert [members(star) for star in found(of(plain))] == [[0, 4]]


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("most", [40, 1 << 20])
def test_every_star_is_that_of_a_comparison_of_all_pairs(
    few: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "_AT_ONCE", 16)
    monkeypatch.setattr(near, "_FEW", few)
    monkeypatch.setattr(near, "_MOST_PAIRS", most)
    dice = np.random.default_rng(3)
    kinds = np.array([list(imprint(painted(seed, SIZE))) for seed in range(30)])
    noisy = kinds[dice.integers(0, 30, 150)] + dice.integers(-9, 10, (150, IMPRINT_BYTES))
    values = np.clip(noisy, 0, 255).astype(np.uint8)
    imprints = Imprints(np.arange(150), values, np.tile([[4, 3]], (150, 1)))
    told = {tuple(members(star)) for star in found(imprints)}
    places = near.places(imprints, slice(None))
    expected, taken = set(), set[int]()
    for first in range(150):
        alike = near.alike(places[[first]], places)
        others = [n for n in range(first + 1, 150) if n not in taken and alike[n] >= LEAST]
        if first not in taken and others:
            taken |= {first, *others}
            expected.add((first, *others))
    assert told == expected
    assert len(expected) > 5


def test_what_a_group_has_taken_is_compared_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that are all alike one row is compared with the others."""
    monkeypatch.setattr(near, "_AT_ONCE", 16)
    monkeypatch.setattr(near, "_MOST_PAIRS", 40)
    real, compared = near._Table._of_rows, []

    def counted(self: near._Table, free: Rows, right: near.Floats, rows: int) -> object:
        compared.append(rows * len(free))
        return real(self, free, right, rows)

    monkeypatch.setattr(near._Table, "_of_rows", counted)
    (star,) = found(of([painted(1, SIZE)] * 60))
    assert members(star) == list(range(60))
    # Sixteen rows and then four have too many near them.
    assert sum(compared) == (16 + 4 + 1) * 60


def test_who_does_not_agree_is_left_to_others() -> None:
    one = painted(1, SIZE)
    imprints = of([one, one.resize((160, 120)), one.resize((80, 60))])
    told = stars(imprints, LEAST, lambda first, others: np.full(len(others), first > 0))
    assert [members(star) for star in told] == [[1, 2]]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_near_in_a_library_of_none_or_one(count: int) -> None:
    assert found(of([painted(1, SIZE)] * count)) == []
