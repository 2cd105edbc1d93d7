"""What a library costs as it grows: memory, disk, start, query, insert, and a look at everything.

    python -m benchmarks.growth --simulated 10000000 --folder build/bench/growth --out build/bench

For each size a library of `benchmarks.made_library`, made or taken from before, and a real daemon over it,
with the builtin model and its vectors of 256 numbers. Simulated are so many vectors in memory as the daemon
holds them, and the searching of them: without a database and without files; the disk is then told by the
last two sizes. What an earlier run wrote to --out stays. Writes growth.json, a table, growth.md, and
drawings, growth.svg and growth.png, into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import made_library
from benchmarks.a_daemon import PATIENCE_S
from benchmarks.drawing import Line, drawn, plotted
from benchmarks.freshness import picture
from benchmarks.machine import machine
from benchmarks.million import daemon, disk_mb
from imgq import client, wire
from imgq.paths import places

QUERIES = 60
INSERTS = 5
RECORDED = 5000


@dataclass(frozen=True, slots=True)
class Size:
    """What a library of so many pictures costs; None where it was not measured. row_us: to record one;
    answers_s: from the daemon's start to its first answer, settled_s: to the end of its first look at
    everything; query_ms: median, by the daemon's own clock, of texts, which made-up vectors have no meaning
    to; alike_ms: the same of known pictures; found_ms: median, from a new file to where a search finds
    it."""

    pictures: int
    disk_mb: float | None = None
    memory_mb: float | None = None
    row_us: float | None = None
    answers_s: float | None = None
    settled_s: float | None = None
    look_s: float | None = None
    query_ms: float | None = None
    query_p95_ms: float | None = None
    alike_ms: float | None = None
    found_ms: float | None = None


def recorded(folder: Path, pictures: int) -> float:
    """Microseconds to record a picture more, in a copy of the index."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        index = Path(name, "home", "index", "index.db")
        index.parent.mkdir(parents=True)
        shutil.copyfile(places().store, index)
        took = made_library.grow(Path(name), pictures + RECORDED)
    made_library.at(folder)
    assert took is not None
    return took


def measured(folder: Path, pictures: int) -> Size:
    root = made_library.at(folder)
    if made_library.grow(folder, pictures) is not None:
        made_library.write_cache(folder)
    row_us, size = recorded(folder, pictures), disk_mb()
    began = time.monotonic()
    with daemon() as process:
        _until(client.answers)
        answers_s = time.monotonic() - began
        _until(_has_looked)
        settled_s = time.monotonic() - began
        took = [_query(wire.Term(text=f"a red car, and {n} trees")) for n in range(QUERIES)]
        median, p95 = np.percentile(took, [50, 95])
        alike_ms = float(np.median([_query(each) for each in _known(root, pictures)]))
        began = time.monotonic()
        client.settle(PATIENCE_S)
        look_s = time.monotonic() - began
        memory = process.memory_info().rss / 1e6
        found_ms = float(np.median(list(_inserts(root))))
    return Size(
        pictures, size, memory, row_us, answers_s, settled_s, look_s,
        float(median), float(p95), alike_ms, found_ms,
    )  # fmt: skip


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon takes too long")
        time.sleep(0.05)


def _has_looked() -> bool:
    status = client.ask(wire.AskStatus(), PATIENCE_S)
    assert isinstance(status, wire.Status)
    return status.settled and status.model.state != "loading"


def _is_indexed(path: bytes) -> bool:
    """From then on a search finds it; one that asks for a million hits would take longer itself."""
    known = client.ask(wire.AskInfo(path=path), PATIENCE_S)
    return isinstance(known, wire.Info) and known.state == "indexed"


def _known(root: Path, pictures: int) -> Iterator[wire.Term]:
    """Pictures that are in the library: nothing is embedded for them."""
    for number in range(0, pictures, pictures // QUERIES):
        known = made_library.path_of(root, number)
        yield wire.Term(picture=known.read_bytes(), name=known.name)


def _query(term: wire.Term) -> float:
    pieces = client.stream(wire.Search(terms=(term,), top=20), PATIENCE_S)
    return max(piece.took_ms for piece in pieces if isinstance(piece, wire.Hits))


def _inserts(root: Path) -> Iterator[float]:
    """The first, which wakes the embedder, is not told."""
    for number in range(INSERTS + 1):
        path = root / "0" / f"new-{number}.jpg"
        closed = picture(path, int(time.time()) + number)
        _until(partial(_is_indexed, os.fsencode(path)))
        if number:
            yield (time.monotonic() - closed) * 1e3
        path.unlink()
    client.settle(PATIENCE_S)


COLUMNS = (
    ("disk, MB", "disk_mb"),
    ("memory, MB", "memory_mb"),
    ("a row, µs", "row_us"),
    ("answers, s", "answers_s"),
    ("settled, s", "settled_s"),
    ("a look at everything, s", "look_s"),
    ("query, ms", "query_ms"),
    ("p95, ms", "query_p95_ms"),
    ("by a picture, ms", "alike_ms"),
    ("new picture found, ms", "found_ms"),
)


def table(sizes: list[Size]) -> str:
    names = " | ".join(name for name, _ in COLUMNS)
    lines = [f"| pictures | {names} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for size in sizes:
        values = " | ".join(_shown(getattr(size, field)) for _, field in COLUMNS)
        lines.append(f"| {size.pictures:,} | {values} |")
    return "\n".join(lines) + "\n"


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def beyond(pictures: int, sizes: list[Size]) -> Size:
    """What can be told of a library that is not there, in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.simulated", "--pictures", str(pictures)]
    told = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    disk = None
    if len(sizes) > 1 and sizes[-1].disk_mb and sizes[-2].disk_mb:
        more = sizes[-1].pictures - sizes[-2].pictures
        a_picture = (sizes[-1].disk_mb - sizes[-2].disk_mb) / more
        disk = sizes[-1].disk_mb + a_picture * (pictures - sizes[-1].pictures)
    return Size(pictures, disk, **told)


def write(sizes: list[Size], out: Path) -> None:
    report = {"machine": machine(), "sizes": [asdict(size) for size in sizes]}
    (out / "growth.json").write_text(json.dumps(report, indent=1))
    (out / "growth.md").write_text(table(sizes))
    lines = [
        Line(
            name,
            [(size.pictures, getattr(size, field)) for size in sizes if getattr(size, field)],
        )
        for name, field in COLUMNS
    ]
    (out / "growth.svg").write_text(drawn(lines, "pictures"))
    plotted(lines, "pictures", out / "growth.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--simulated", type=int, nargs="*", default=[])
    parser.add_argument("--folder", type=Path, required=True, help="for the libraries; they stay")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    sizes = before(told.out)
    for pictures in sorted(told.pictures):
        size = measured((told.folder / str(pictures)).resolve(), pictures)
        sizes = merged(sizes, size)
        write(sizes, told.out)
        print(table(sizes), flush=True)
    for pictures in sorted(told.simulated):
        sizes = merged(sizes, beyond(pictures, [each for each in sizes if each.answers_s]))
        write(sizes, told.out)
        print(table(sizes), flush=True)


def before(out: Path) -> list[Size]:
    """What an earlier run measured: long ones can be made in pieces."""
    path = out / "growth.json"
    return [Size(**each) for each in json.loads(path.read_text())["sizes"]] if path.exists() else []


def merged(sizes: list[Size], size: Size) -> list[Size]:
    others = [each for each in sizes if each.pictures != size.pictures]
    return sorted([*others, size], key=lambda each: each.pictures)


if __name__ == "__main__":
    main()
