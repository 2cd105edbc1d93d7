"""How long a search takes, and what it finds, beside other ways to do the same.

    python -m benchmarks.search --pictures 1000000 --queries 50 --out build/bench

One thread, contenders in turn within each round, so that what else the machine does meets all of them.
Writes search.json and a table, search.md, into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import apsw
import faiss
import numpy as np
import sqlite_vec
from numpy.typing import NDArray

from benchmarks.worlds import Vectors, World
from imgqd.search.rank import nearest
from imgqd.search.resident import Resident

TOP = 10
WARMING = 3

Ask = Callable[[Vectors], list[int]]


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds a query, and the share of the ten nearest that were found."""

    contender: str
    queries: str
    pictures: int
    median: float
    p95: float
    recall: float
    times_faster_than_flat: float


def contenders(pictures: Vectors) -> dict[str, Ask]:
    ids = np.arange(len(pictures))
    resident = Resident(pictures.shape[1])
    resident.add(ids, pictures)
    resident.refine()
    few = ids[::100]
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(pictures.shape[1])
    flat.add(pictures)
    return {
        "FAISS IndexFlatIP": lambda query: flat.search(query[None], TOP)[1][0].tolist(),
        "imgq": lambda query: _ids(nearest(resident.snapshot(), query, TOP)),
        "imgq, 1 % allowed": lambda query: _ids(nearest(resident.snapshot(), query, TOP, few)),
        "NumPy": lambda query: _highest(pictures @ query),
        "sqlite-vec vec0": _vec0(pictures),
    }


def _ids(hits: list[tuple[int, float]]) -> list[int]:
    return [id for id, _ in hits]


def _highest(scores: NDArray[np.float32]) -> list[int]:
    best = np.argpartition(-scores, TOP)[:TOP]
    found: list[int] = best[np.argsort(-scores[best])].tolist()
    return found


def _vec0(pictures: Vectors) -> Ask:
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute(
        f"CREATE VIRTUAL TABLE pictures USING vec0(embedding float[{pictures.shape[1]}]"
        " distance_metric=cosine)"
    )
    with connection:
        connection.executemany(
            "INSERT INTO pictures(rowid, embedding) VALUES (?, ?)",
            ((id, vector.tobytes()) for id, vector in enumerate(pictures)),
        )
    asked = f"SELECT rowid FROM pictures WHERE embedding MATCH ? AND k = {TOP}"
    return lambda query: [id for (id,) in connection.execute(asked, (query.tobytes(),))]


def measured(pictures: Vectors, queries: dict[str, Vectors]) -> list[Result]:
    asks = contenders(pictures)
    few = set(range(0, len(pictures), 100))
    results = []
    for kind, vectors in queries.items():
        times: dict[str, list[float]] = {name: [] for name in asks}
        found: dict[str, float] = dict.fromkeys(asks, 0.0)
        for turn, query in enumerate(vectors):
            exact = np.argsort(-(pictures @ query))
            for name, ask in asks.items():
                began = time.perf_counter()
                answer = ask(query)
                if turn < WARMING:
                    continue
                times[name].append((time.perf_counter() - began) * 1e3)
                best = exact if "allowed" not in name else [id for id in exact[:5000] if id in few]
                found[name] += len(set(answer).intersection(list(best[:TOP]))) / TOP
        flat = float(np.median(times["FAISS IndexFlatIP"]))
        for name, taken in times.items():
            median = float(np.median(taken))
            p95 = float(np.quantile(taken, 0.95))
            recall = found[name] / len(taken)
            results.append(Result(name, kind, len(pictures), median, p95, recall, flat / median))
    return results


def table(results: list[Result]) -> str:
    lines = ["| | pictures | queries | median ms | p95 ms | recall@10 | times as fast as FlatIP |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {each.contender} | {each.pictures:,} | {each.queries} | {each.median:.2f} |"
        f" {each.p95:.2f} | {each.recall:.4f} | {each.times_faster_than_flat:.1f} |"
        for each in results
    ]
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "processor": ", ".join(sorted(names)) or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[100_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    results = []
    for count in asked.pictures:
        world = World(asked.dim)
        pictures = world.pictures(count)
        queries = asked.queries + WARMING
        kinds = {"text": world.texts(queries), "picture": world.likes(pictures, queries)}
        results += measured(pictures, kinds)
        print(table(results), flush=True)
    if asked.out is not None:
        told = {"machine": machine(), "results": [asdict(each) for each in results]}
        (asked.out / "search.json").write_text(json.dumps(told, indent=2) + "\n")
        (asked.out / "search.md").write_text(table(results))


if __name__ == "__main__":
    main()
