"""So many vectors in memory as the daemon holds them, and a search of them, without a database.

    python -m benchmarks.simulated --pictures 10000000

Codes and prefix are made a piece at a time: a million that are not alike, which then come again. The few
vectors that a search scores exactly are told by their codes, where the daemon reads them from its cache.
Prints a line of JSON: memory_mb, of this process; query_ms and query_p95_ms.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import cycle
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds import World
from imgqd.search.codes import Codes, encode
from imgqd.search.prefix import SAMPLE, Directions, Prefix, directions
from imgqd.search.rank import nearest
from imgqd.search.resident import Resident
from imgqd.search.rows import Rows
from imgqd.search.segment import Key, Records, Segment
from imgqd.search.vectors import Vectors

DIM = 256
AT_ONCE = 100_000
# So many pieces are not like each other; then they come again.
OTHERS = 10
QUERIES = 60
TOP = 20


class Told:
    """The vectors that codes stand for."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes

    def read(self, places: Rows) -> Vectors:
        steps = self._codes.steps[places, None]
        found: Vectors = self._codes.values[places] * steps
        return found


def resident(world: World, pictures: int) -> Resident:
    codes = Codes(np.empty((pictures, DIM), np.int8), np.empty(pictures, np.float32))
    found = directions(world.pictures(SAMPLE), pictures)
    assert found is not None
    prefix, pieces = Prefix(found, (), 0), [_piece(world, found) for _ in range(OTHERS)]
    for first, (some, along) in zip(range(0, pictures, AT_ONCE), cycle(pieces), strict=False):
        rows = slice(first, min(first + AT_ONCE, pictures))
        count = rows.stop - first
        codes.values[rows], codes.steps[rows] = some.values[:count], some.steps[:count]
        prefix = prefix.extended(along[:count])
    ids, key = np.arange(1, pictures + 1), Key("simulated", "simulated", DIM)
    vectors_told = cast(Records, Told(codes))
    segment = Segment(key, pictures, ids, codes, prefix, vectors_told)
    return Resident.restored(segment, np.arange(pictures))


def _piece(world: World, found: Directions) -> tuple[Codes, NDArray[np.int8]]:
    vectors = world.pictures(AT_ONCE)
    return encode(vectors), found.along(vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=10_000_000)
    told = parser.parse_args()
    world = World(DIM)
    found, took = resident(world, told.pictures), []
    for query in world.texts(QUERIES):
        began = time.perf_counter()
        nearest(found.snapshot(), query, TOP)
        took.append((time.perf_counter() - began) * 1e3)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    median, p95 = np.percentile(took, [50, 95])
    print(json.dumps({"memory_mb": pages * 4096 / 1e6, "query_ms": median, "query_p95_ms": p95}))


if __name__ == "__main__":
    main()
