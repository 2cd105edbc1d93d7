"""Paints a library of which it is known what shows what, and questions to it, a third without an answer.

    python -m benchmarks.labelled --out FOLDER --things 20 --copies 4 --seed 1
    python -m benchmarks.labelled --out FOLDER --style unseen

Things, names and pictograms are those of `training` (see its README for what has to be there), each picture
is painted afresh, upon a scenery. known: by hands that the builtin model has learned from; unseen: by one
that was held out. FOLDER/labels.tsv has a question a line, with the files that answer it behind it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import paint_library, rasterise
from training.captions import Language
from training.paint_library import Entry
from training.scenery import KINDS
from training.things import Thing, read_things

GROUPS = ("animals", "food", "travel", "activities", "objects")
HANDS = {"known": ("modern", "twemoji", "flat", "noto"), "unseen": ("openmoji",)}
LEAST_SIZE, MOST_SIZE = 0.6, 0.9


@dataclass(frozen=True)
class World:
    """Which things are to be painted, and which are asked for: rows of all things."""

    things: list[Thing]
    painted: list[int]
    asked: list[int]
    true_of: np.ndarray


def world(count: int, rng: np.random.Generator) -> World:
    things = read_things()
    true_of = Language(things).true_of[: len(things)].numpy()
    able = [at for at, thing in enumerate(things) if thing.group in GROUPS and _is_drawn(thing)]
    order = rng.permutation(able).tolist()
    painted = order[:count]
    strange = [at for at in order[count:] if not true_of[at][painted].any()]
    return World(things, painted, painted + strange[: count // 2], true_of)


def _is_drawn(thing: Thing) -> bool:
    """By all of the hands."""
    return all(
        draw(thing, 16) is not None for draw in (*paint_library.SETS.values(), rasterise.openmoji)
    )


def paint(
    world: World, out: Path, hands: tuple[str, ...], copies: int, rng: np.random.Generator
) -> list[tuple[Path, int]]:
    """The files, each with the thing that it shows."""
    painted = []
    for at in world.painted:
        for copy in range(copies):
            path = out / f"{len(painted):05}.jpg"
            options = {
                "by": hands[(copy + at) % len(hands)],
                "size": f"{rng.uniform(LEAST_SIZE, MOST_SIZE):.2f}",
                "y": "0.97",
            }
            kind = KINDS[int(rng.integers(len(KINDS)))]
            name = f"{rng.integers(1 << 62)}"
            entry = Entry(name, world.things[at], kind, options)
            paint_library.draw(entry).save(path, quality=85)
            painted.append((path, at))
    return painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--things", type=int, default=20)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--style", choices=sorted(HANDS), default="known")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    paint_library.SETS["openmoji"] = rasterise.openmoji
    rng = np.random.default_rng(asked.seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    found = world(asked.things, rng)
    painted = paint(found, asked.out.resolve(), HANDS[asked.style], asked.copies, rng)
    lines = [
        "\t".join(
            [
                found.things[query].name,
                *(str(path) for path, at in painted if found.true_of[query][at]),
            ]
        )
        for query in found.asked
    ]
    (asked.out / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
