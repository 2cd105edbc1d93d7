"""Measures the weights: python -m training.evaluate [--photographs FOLDER]

All figures are per cent unless they say what else.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from training import model as builtin
from training.compose import Studio
from training.judge import (
    AS_IT_IS,
    COMPOSED,
    Judge,
    Row,
    backgrounds,
    colour_pairs,
    names,
    near_copies,
    spread,
)
from training.prepare import HELD_OUT, LEARNED
from training.things import read_things


def measure(judge: Judge, photographs: Path | None) -> Iterator[Row]:
    things = read_things()
    held_out, learned = (Studio.of(things, list(styles)) for styles in (HELD_OUT, LEARNED))
    yield from names(judge, things, held_out, "held-out style")
    yield from names(judge, things, learned, "learned styles")
    for style in LEARNED:
        yield from list(names(judge, things, Studio.of(things, [style]), style))[:2]
    yield from colour_pairs(judge, things, held_out)
    yield from backgrounds(judge, things, held_out)
    yield from spread(judge.look(learned.compose(learned.known, AS_IT_IS, COMPOSED)[0]), "pictures")
    if photographs:
        yield from near_copies(judge, photographs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=builtin.WEIGHTS)
    parser.add_argument("--photographs", type=Path, help="a folder of photographs, only looked at")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    torch.manual_seed(wanted.seed)
    for what, value in measure(Judge(builtin.load(wanted.weights)), wanted.photographs):
        print(f"{value:7.1f}  {what}", flush=True)


if __name__ == "__main__":
    main()
