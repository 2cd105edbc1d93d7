"""How well `--min-score auto` tells what answers a question from what does not, on a library of one's own.

    python -m benchmarks.cutoff --labels FILE [--min-score X]

FILE has a question a line, with the paths of all files that answer it behind it, separated by tabs; none
where there is no answer. The daemon that is running is asked, so start it on that library first.
`benchmarks.labelled` paints such a library, with its labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgq import wire
from imgq.client import stream


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and the paths of the files that answer it."""

    question: str
    answer: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares: of the files that were found, those that are answers; of the answers, those that were found;
    the harmonic mean of both; and the same mean over which questions have an answer at all."""

    precision: float
    recall: float
    f1: float
    answered: float


def read(path: Path) -> list[Labelled]:
    lines = path.read_bytes().splitlines()
    parts = [line.split(b"\t") for line in lines if line.strip()]
    return [Labelled(first.decode(), frozenset(filter(None, rest))) for first, *rest in parts]


def ask(question: str, bound: dict[str, float | bool]) -> frozenset[bytes]:
    """The files that are found."""
    request = wire.Search(
        terms=(wire.Term(text=question),),
        top=wire.MOST_TOP,
        min_score=None if "auto" in bound else float(bound["min_score"]),
        auto="auto" in bound,
    )
    pieces = [piece for piece in stream(request) if isinstance(piece, wire.Hits)]
    return frozenset(hit.path for piece in pieces for hit in piece.hits)


def figures(labels: Sequence[Labelled], found: Sequence[frozenset[bytes]]) -> Figures:
    pairs = list(zip(labels, found, strict=True))
    right = sum(len(each.answer & files) for each, files in pairs)
    precision = right / max(sum(map(len, found)), 1)
    recall = right / max(sum(len(each.answer) for each in labels), 1)
    has, says = sum(bool(each.answer) for each in labels), sum(map(bool, found))
    both = sum(bool(each.answer) and bool(files) for each, files in pairs)
    return Figures(precision, recall, _mean(precision, recall), 2 * both / max(has + says, 1))


def _mean(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--min-score", type=float, help="a number in place of auto")
    asked = parser.parse_args()
    labels = read(asked.labels)
    bound = {"auto": True} if asked.min_score is None else {"min_score": asked.min_score}
    told = figures(labels, [ask(each.question, bound) for each in labels])
    without = sum(not each.answer for each in labels)
    print(
        f"{len(labels)} questions, {without} without an answer: F1 {told.f1:.3f}"
        f" (precision {told.precision:.3f}, recall {told.recall:.3f});"
        f" whether there is an answer at all: F1 {told.answered:.3f}"
    )


if __name__ == "__main__":
    main()
