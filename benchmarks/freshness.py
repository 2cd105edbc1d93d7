"""How soon a picture is found after its file was closed: a real daemon, with the builtin model.

    python -m benchmarks.freshness --pictures 100 --out build/bench

The embedder is awake; between two pictures there is a pause of half a second to a second and a half. A
picture is found when a search that asks for all of them has its path. Writes freshness.json and a table,
freshness.md, into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import a_daemon
from benchmarks.a_daemon import PATIENCE_S
from benchmarks.machine import machine
from imgq import client, wire

AWAKE = 32
BURST = 100
SIZE = (1600, 1200)


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds from the end of a write to the first search that finds the picture; of a burst to the
    first that finds them all."""

    pictures: int
    median: float
    p95: float
    longest: float
    burst: int
    burst_took: float


def picture(path: Path, number: int) -> float:
    """Writes a JPEG of two megapixels; when it was closed, by the monotonic clock."""
    dice = np.random.default_rng(number)
    coarse = dice.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(path)
    return time.monotonic()


def found() -> set[bytes]:
    request = wire.Search(terms=(wire.Term(text="red car"),), top=10_000)
    pieces = client.stream(request, PATIENCE_S)
    return {hit.path for piece in pieces if isinstance(piece, wire.Hits) for hit in piece.hits}


def until_found(paths: set[bytes], since: float) -> float:
    """Milliseconds from `since` until all of them are found."""
    while not paths <= found():
        if time.monotonic() > since + PATIENCE_S:
            raise TimeoutError(f"not found within {PATIENCE_S:g} s")
    return (time.monotonic() - since) * 1e3


def run(pictures: int) -> Result:
    dice = random.Random(1)
    with a_daemon.daemon() as home:
        folder = home / "pictures"
        paths = [folder / f"{number}.jpg" for number in range(AWAKE + pictures + BURST)]
        for number in range(AWAKE):
            picture(paths[number], number)
        client.settle(PATIENCE_S)
        took = []
        for number in range(AWAKE, AWAKE + pictures):
            time.sleep(dice.uniform(0.5, 1.5))
            closed = picture(paths[number], number)
            took.append(until_found({os.fsencode(paths[number])}, closed))
        burst = range(AWAKE + pictures, len(paths))
        closed = max(picture(paths[number], number) for number in burst)
        burst_took = until_found({os.fsencode(paths[number]) for number in burst}, closed)
    median, p95 = np.percentile(took, [50, 95])
    return Result(pictures, float(median), float(p95), max(took), BURST, burst_took)


def table(result: Result) -> str:
    return (
        "| | median ms | p95 ms | longest ms |\n|---|---|---|---|\n"
        f"| one picture at a time, {result.pictures} | {result.median:.0f} | {result.p95:.0f}"
        f" | {result.longest:.0f} |\n"
        f"| {result.burst} written one after the other, all found | {result.burst_took:.0f} | | |\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    told = parser.parse_args()
    result = run(told.pictures)
    told.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), **asdict(result)}
    (told.out / "freshness.json").write_text(json.dumps(report, indent=1))
    (told.out / "freshness.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
