"""What the vectors in memory cost at a start: out of the store alone, and with the cache beside it.

    python -m benchmarks.search_start --pictures 10000 100000 1000000 --folder build/bench/start

Each figure is of a process of its own. An index that is in the folder from before is filled up, not made
anew; a million pictures take some five minutes to be recorded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.worlds import World
from imgqd.index import loaded
from imgqd.records import Indexed, Metadata, Stamp
from imgqd.search import cache
from imgqd.search.rank import nearest
from imgqd.store import Identity, Store

DIM = 512
AT_ONCE = 5000
PHOTO = Metadata("JPEG", 4032, 3024)


def opened(folder: Path) -> Store:
    store = Store.open(folder / "index.db", "benchmark")
    store.use_model("fake", "fake", DIM)
    return store


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store = opened(folder)
    if not store.roots():
        store.add_root(b"/r", Identity(1, 2, "ext4:1"))
    known = store.counts().pictures
    if known < count:
        pictures = World(DIM).pictures(count)
        for start in range(known, count, AT_ONCE):
            rows = range(start, min(start + AT_ONCE, count))
            store.commit([_indexed(row, pictures[row]) for row in rows], time.time())
    store.close()


def _indexed(row: int, vector: np.ndarray) -> Indexed:
    path, stamp = b"/r/%d/%d.jpg" % (row // 1000, row), Stamp(10, 10**18, 10**18, row, 1)
    return Indexed(path, stamp, row.to_bytes(16, "big"), True, PHOTO, vector)


def start(folder: Path) -> dict[str, float]:
    """Seconds to open the store and to have the vectors, milliseconds a query, megabytes in memory; writes
    the cache where there is none."""
    began = time.perf_counter()
    ahead = cache.Ahead(folder / "index.db")
    store = opened(folder)
    opening = time.perf_counter() - began
    resident = loaded(store, ahead)
    loading = time.perf_counter() - began
    times = []
    for query in World(DIM).texts(20):
        began = time.perf_counter()
        nearest(resident.snapshot(), query, 10)
        times.append((time.perf_counter() - began) * 1e3)
    told = {"open_s": opening, "ready_s": loading, "query_ms": float(np.median(times))}
    told["memory_mb"] = _memory()
    if resident.snapshot().vectors.file is None:
        began = time.perf_counter()
        resident.refine()
        cache.save(store, resident.snapshot(), store.sums())
        told["write_s"] = time.perf_counter() - began
    told["cache_mb"] = cache.size(store) / 1e6
    store.close()
    return told


def _memory() -> float:
    """Of this process, in megabytes: what is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        print(json.dumps(start(asked.one)))
        return
    print(
        "| pictures | | ready in s | memory MB | text query ms | cache MB |\n|---|---|---|---|---|---|"
    )
    for count in asked.pictures:
        folder = asked.folder / str(count)
        fill(folder, count)
        (folder / "index.db.cache").unlink(missing_ok=True)
        for name in ("from the store alone", "with the cache"):
            words = [sys.executable, "-m", "benchmarks.search_start", "--folder", ".", "--one"]
            done = subprocess.run([*words, str(folder)], check=True, capture_output=True)
            told = json.loads(done.stdout)
            print(
                f"| {count:,} | {name} | {told['ready_s']:.2f} | {told['memory_mb']:.0f} |"
                f" {told['query_ms']:.1f} | {told['cache_mb']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
