"""Fetches the packages and makes everything that training reads: python -m training.prepare"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from training import packages, rasterise
from training.packages import DATA
from training.rasterise import Pixels
from training.scenery import KINDS, paint
from training.things import Thing, read_things

ART_SIZE = 96  # pixels
SCENE_SIZE = 112
SCENES_A_KIND = 64

Draw = Callable[[Thing, int], Pixels | None]

LEARNED: dict[str, Draw] = {
    "noto": rasterise.noto,
    "google": rasterise.google,
    "twemoji": rasterise.twemoji,
    "fluent-flat": partial(rasterise.fluent, look="flat"),
    "fluent-modern": partial(rasterise.fluent, look="modern"),
    "fluent-contrast": partial(rasterise.fluent, look="high-contrast"),
    "noto-lines": rasterise.noto_lines,
    "noto-first": partial(rasterise.iconify, package=packages.NOTO_FIRST),
    "emojione": partial(rasterise.iconify, package=packages.EMOJIONE),
    "emojione-black": partial(rasterise.iconify, package=packages.EMOJIONE_BLACK),
    "firefox": partial(rasterise.iconify, package=packages.FIREFOX),
    "streamline": partial(rasterise.iconify, package=packages.STREAMLINE),
}
HELD_OUT: dict[str, Draw] = {"openmoji": rasterise.openmoji}


def prepare() -> None:
    things = read_things()
    for style, draw in (LEARNED | HELD_OUT).items():
        _keep(f"art-{style}", partial(_all_art, draw, things))
    _keep("scenes", _all_scenes)


def _all_art(draw: Draw, things: list[Thing]) -> np.ndarray:
    """(things, size, size, 4) uint8; a thing that the set lacks is empty everywhere."""
    art = np.zeros((len(things), ART_SIZE, ART_SIZE, 4), np.uint8)
    for row, thing in enumerate(things):
        pixels = draw(thing, ART_SIZE)
        if pixels is not None:
            art[row] = pixels
    return art


def _all_scenes() -> np.ndarray:
    """(kinds, scenes a kind, size, size, 3) uint8."""
    size = (SCENE_SIZE, SCENE_SIZE)
    rng = np.random.default_rng(0)
    painted = [[np.asarray(paint(kind, size, rng)) for _ in range(SCENES_A_KIND)] for kind in KINDS]
    return np.array(painted)


def _keep(name: str, make: Callable[[], np.ndarray]) -> None:
    """Made once; written beside and renamed, so that a file that is there is whole."""
    path = DATA / f"{name}.npy"
    if not path.exists():
        values = make()
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.save(file, values)
        beside.rename(path)
    print(f"{path.name}: {np.load(path, mmap_mode='r').shape}", file=sys.stderr)


if __name__ == "__main__":
    prepare()
