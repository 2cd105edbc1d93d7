"""The sample of the held-out style that the tests look at: python -m training.held_out"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from training import rasterise
from training.things import read_things

FOLDER = Path(__file__).parents[1] / "tests/held_out"
SIDE, TILE = 20, 64  # pictograms a row and rows; pixels


def main() -> None:
    """A sheet of pictograms, and all things, with the place on the sheet of those that are on it."""
    things = read_things()
    drawn = [at for at, thing in enumerate(things) if rasterise.openmoji(thing, 16) is not None]
    order = np.random.default_rng(0).permutation(drawn)[: SIDE * SIDE].tolist()
    sheet = Image.new("RGBA", (SIDE * TILE, SIDE * TILE))
    for place, at in enumerate(order):
        pixels = rasterise.openmoji(things[at], TILE)
        assert pixels is not None
        sheet.paste(Image.fromarray(pixels), (place % SIDE * TILE, place // SIDE * TILE))
    FOLDER.mkdir(exist_ok=True)
    sheet.quantize(256, Image.Quantize.FASTOCTREE).save(FOLDER / "openmoji.png", optimize=True)
    rows = [[thing.code, thing.label, thing.group] for thing in things]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{{"drawn": {json.dumps(order)},\n"things": [\n{lines}\n]}}\n'
    (FOLDER / "things.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
