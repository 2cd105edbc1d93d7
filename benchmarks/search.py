"""How long a search takes, and what it finds, beside other ways to do the same.

    python -m benchmarks.search --pictures 10000 100000 1000000 --queries 40 --out build/bench

One thread, contenders in turn within each round, so that what else the machine does meets all of them;
the ones that take too long to be built are left out of the larger sizes. Writes search.json, a table,
search.md, and a plot, search.svg and search.png, into the folder. With --batch it times imgq's batches of
100 queries instead.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

# NumPy after them: they pin its threads.
import numpy as np

from benchmarks.contenders import CONTENDERS, FILTERED, TOP, Ask, Contender, highest, resident
from benchmarks.machine import machine
from benchmarks.worlds import Vectors, World
from imgqd.search.rank import many

WARMING = 3
BASE = "FAISS IndexFlatIP"


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds a query, by quartiles; and the share of the ten nearest that were found."""

    contender: str
    queries: str
    pictures: int
    low: float
    median: float
    high: float
    recall: float
    times_as_fast_as_flat: float
    built_s: float


@dataclass(slots=True)
class Running:
    """A contender that is being measured: how long each query took, in ms, and how many hits were right."""

    contender: Contender
    ask: Ask
    built_s: float
    times: list[float]
    found: int = 0

    @classmethod
    def of(cls, contender: Contender, pictures: Vectors) -> Running:
        began = time.perf_counter()
        ask = contender.build(pictures)
        return cls(contender, ask, time.perf_counter() - began, [])

    def answer(self, query: Vectors, exact: Vectors) -> None:
        began = time.perf_counter()
        answer = self.ask(query)
        self.times.append((time.perf_counter() - began) * 1e3)
        scores = exact[::FILTERED] if self.contender.filtered else exact
        step = FILTERED if self.contender.filtered else 1
        self.found += len(set(answer).intersection(step * id for id in highest(scores)))

    def result(self, kind: str, pictures: int, flat: float) -> Result:
        low, median, high = np.quantile(self.times, [0.25, 0.5, 0.75]).tolist()
        recall = self.found / (TOP * len(self.times))
        name = self.contender.name
        return Result(name, kind, pictures, low, median, high, recall, flat / median, self.built_s)


def measured(names: list[str], pictures: Vectors, queries: dict[str, Vectors]) -> list[Result]:
    chosen = [each for each in CONTENDERS if each.name in names and len(pictures) <= each.most]
    running = [Running.of(each, pictures) for each in chosen]
    results = []
    for kind, vectors in queries.items():
        for query in vectors[:WARMING]:
            for each in running:
                each.ask(query)
        for each in running:
            each.times, each.found = [], 0
        for query in vectors[WARMING:]:
            exact = pictures @ query
            for each in running:
                each.answer(query, exact)
        flat = next(float(np.median(each.times)) for each in running if each.contender.name == BASE)
        results += [each.result(kind, len(pictures), flat) for each in running]
    return results


def table(results: list[Result]) -> str:
    lines = [
        "| | pictures | queries | ms (quartiles) | recall@10 | times FlatIP's speed | built in s |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {each.contender} | {each.pictures:,} | {each.queries} |"
        f" {each.median:.2f} ({each.low:.2f} to {each.high:.2f}) | {each.recall:.3f} |"
        f" {each.times_as_fast_as_flat:.1f} | {each.built_s:.0f} |"
        for each in results
    ]
    return "\n".join(lines) + "\n"


def plot(results: list[Result], out: Path) -> None:
    """Recall over time, a panel for each size and kind of query."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    # Above all there is room for names.
    lowest = min(0.9, *(each.recall for each in results))
    panels = sorted({(each.pictures, each.queries) for each in results})
    figure, axes = pyplot.subplots(
        -(-len(panels) // 2), 2, figsize=(11, 4.2 * -(-len(panels) // 2)), squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (pictures, kind) in zip(axes.flat, panels, strict=False):
        for each in results:
            if (each.pictures, each.queries) == (pictures, kind) and "%" not in each.contender:
                is_ours = each.contender == "imgq"
                axis.plot(each.median, each.recall, "o", color="#c8553d" if is_ours else "#1b6ca8")
                axis.annotate(
                    each.contender, (each.median, each.recall), (3, 5), textcoords="offset points",
                    fontsize=8, rotation=40, weight="bold" if is_ours else "normal",
                )  # fmt: skip
        axis.set(
            xscale="log", ylim=(lowest - 0.03, 1.1), xlabel="ms a query", ylabel="recall@10",
            title=f"{pictures:,} pictures, by {kind}",
        )  # fmt: skip
        axis.margins(x=0.25)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    for suffix in ("svg", "png"):
        figure.savefig(out / f"search.{suffix}", dpi=120)


def batches(count: int, world: World) -> str:
    """Milliseconds of 100 queries as one batch and one by one, medians of five."""
    pictures = world.pictures(count)
    snapshot, queries = resident(pictures).snapshot(), world.texts(100)
    together, alone = [], []
    for _ in range(6):
        began = time.perf_counter()
        many(snapshot, queries, TOP)
        together.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        for query in queries:
            many(snapshot, query[None], TOP)
        alone.append((time.perf_counter() - began) * 1e3)
    return f"| {count:,} | {np.median(together[1:]):.0f} | {np.median(alone[1:]):.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=[each.name for each in CONTENDERS])
    parser.add_argument("--batch", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.batch:
        print("| pictures | 100 queries as one batch, ms | one by one, ms |\n|---|---|---|")
        for count in asked.pictures:
            print(batches(count, World(asked.dim)), flush=True)
        return
    results: list[Result] = []
    for count in asked.pictures:
        world = World(asked.dim)
        pictures, queries = world.pictures(count), asked.queries + WARMING
        kinds = {"text": world.texts(queries), "picture": world.likes(pictures, queries)}
        results += measured([BASE, *asked.only], pictures, kinds)
        print(table(results), flush=True)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        told = {"machine": machine(), "results": [asdict(each) for each in results]}
        (asked.out / "search.json").write_text(json.dumps(told, indent=2) + "\n")
        (asked.out / "search.md").write_text(table(results))
        plot(results, asked.out)


if __name__ == "__main__":
    main()
