"""How long a query takes: alone, and while pictures are being embedded.

    taskset -c 0,1 python -m benchmarks.queries --pictures 10000 --out build/bench

A real daemon with the builtin model, real files, and queries as a client asks them: a connection each, no
text twice. First with nothing else to do; then while so many pictures are decoded and embedded. Writes
queries.json and queries.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks import a_daemon
from benchmarks.machine import machine
from imgq import wire

# Between two queries, as of a person who types fast.
PAUSE_S = 0.03
KNOWN = 2000
WARMING = 20

_texts = (f"a {color} {thing} number {number}" for number in count() for color, thing in
          (("red", "car"), ("green", "hill"), ("blue", "boat")))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds from a client's first byte to its last."""

    beside: str
    queries: int
    p50: float
    p95: float
    p99: float
    longest: float
    daemon_p50: float
    daemon_p95: float


def asked_until(name: str, enough: Callable[[int, wire.Hits], bool]) -> Result:
    """enough: of how many were asked, and the latest answer."""
    whole: list[float] = []
    inside: list[float] = []
    is_enough = False
    while not is_enough:
        began = time.perf_counter()
        answer = a_daemon.ask(next(_texts))
        whole.append((time.perf_counter() - began) * 1e3)
        inside.append(answer.took_ms)
        is_enough = enough(len(whole), answer)
        time.sleep(PAUSE_S)
    p50, p95, p99 = (float(np.quantile(whole, share)) for share in (0.5, 0.95, 0.99))
    own50, own95 = (float(np.quantile(inside, share)) for share in (0.5, 0.95))
    return Result(name, len(whole), p50, p95, p99, max(whole), own50, own95)


def measured(pictures: int, queries: int) -> tuple[list[Result], float]:
    """Alone, busy, and alone again; and pictures a second while it was busy."""
    with a_daemon.daemon() as folder:
        a_daemon.make(folder / "waiting", pictures)
        a_daemon.make(folder / "known", KNOWN)
        os.rename(folder / "known", folder / "pictures" / "known")
        a_daemon.settle()
        asked_until("warming", lambda count, _: count >= WARMING)
        results = [asked_until("nothing", lambda count, _: count >= queries)]
        began = time.perf_counter()
        os.rename(folder / "waiting", folder / "pictures" / "waiting")
        every = pictures + KNOWN
        results.append(asked_until("embedding", lambda _, answer: answer.index.files >= every))
        seconds = time.perf_counter() - began
        results.append(asked_until("nothing, after it", lambda count, _: count >= queries))
    return results, pictures / seconds


def table(results: list[Result]) -> str:
    lines = [
        "| while | queries | p50 ms | p95 ms | p99 ms | longest | daemon p50 | daemon p95 | times idle |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for each in results:
        numbers = (each.p50, each.p95, each.p99, each.longest, each.daemon_p50, each.daemon_p95)
        written = " | ".join(f"{number:.2f}" for number in numbers)
        times_idle = each.p95 / results[0].p95
        lines.append(f"| {each.beside} | {each.queries} | {written} | {times_idle:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    results, rate = measured(asked.pictures, asked.queries)
    print(table(results))
    print(f"{rate:.0f} pictures a second were indexed beside the queries")
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        told = {
            "machine": machine(),
            "pictures_per_s": rate,
            "results": [asdict(each) for each in results],
        }
        (asked.out / "queries.json").write_text(json.dumps(told, indent=2) + "\n")
        (asked.out / "queries.md").write_text(table(results))


if __name__ == "__main__":
    main()
