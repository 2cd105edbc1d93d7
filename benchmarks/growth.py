"""What a library costs as it grows: memory, disk, start, query, insert, and a look at everything.

    python -m benchmarks.growth --pictures 10000 100000 1000000 --folder /dev/shm/library --out build/bench

One library that grows, of files of one byte and rows made up for them; then a real daemon runs over it,
with the builtin model and its vectors of 256 numbers. Where the folder holds a part of it from before, it
goes on from there. Writes growth.json, a table, growth.md, and a drawing, growth.svg, into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.drawing import Line, drawn
from benchmarks.freshness import picture
from benchmarks.machine import machine
from benchmarks.worlds import World
from imgq import client, wire
from imgq.paths import places
from imgqd.library.recognition import glance
from imgqd.models import card as cards
from imgqd.records import Indexed, Metadata, Notes, Stamp
from imgqd.store import Store

IN_A_FOLDER = 1000
AT_ONCE = 5000
QUERIES = 60
INSERTS = 5
PATIENCE_S = 200.0
PHOTO = Metadata("JPEG", 4032, 3024, Notes(taken_at="2025-03-01T10:11:12", camera="Leica Q3"))


@dataclass(frozen=True, slots=True)
class Size:
    """What a library of so many pictures costs. row_us: to record a picture, None where it was recorded
    before; answers_s: from the daemon's start to its first answer, settled_s: to the end of its first look
    at everything; query_ms: median, by the daemon's own clock; found_ms: median, from a new file to a
    search that finds it."""

    pictures: int
    disk_mb: float
    memory_mb: float
    row_us: float | None
    answers_s: float
    settled_s: float
    look_s: float
    query_ms: float
    query_p95_ms: float
    found_ms: float


def grow(folder: Path, pictures: int) -> float | None:
    """Makes files and their rows until there are so many; microseconds a row."""
    root, where = folder / "pictures", places()
    root.mkdir(parents=True, exist_ok=True)
    card = cards.load(where.models, "builtin")
    assert card is not None
    store = Store.open(Path(where.store), "made up")
    store.use_model(card.identity, card.name, card.dim)
    store.add_root(os.fsencode(root), glance(os.fsencode(root)).identity)
    first, world = store.counts().files, World(card.dim, seed=1 + store.counts().files)
    took = 0.0
    for start in range(first, pictures, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, pictures))
        stamps = [_made(root, number) for number in numbers]
        vectors = world.pictures(len(numbers))
        changes = [
            Indexed(path, stamp, number.to_bytes(16, "big"), True, PHOTO, vector)
            for number, (path, stamp), vector in zip(numbers, stamps, vectors, strict=True)
        ]
        began = time.monotonic()
        store.commit(changes, time.time())
        took += time.monotonic() - began
    store.close()
    return took / (pictures - first) * 1e6 if pictures > first else None


def _made(root: Path, number: int) -> tuple[bytes, Stamp]:
    path = os.fsencode(root / f"{number // IN_A_FOLDER}" / f"{number}.jpg")
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(path))
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.pwrite(descriptor, b"x", 0)
    os.utime(descriptor, (number, number))
    stamp = Stamp.of(os.fstat(descriptor))
    os.close(descriptor)
    return path, stamp


@contextmanager
def daemon() -> Iterator[psutil.Process]:
    """It runs; its first answer is still to be waited for."""
    words = [sys.executable, "-m", "imgqd", "--model", "builtin"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def measured(folder: Path, pictures: int, row_us: float | None) -> Size:
    began = time.monotonic()
    with daemon() as process:
        _until(client.answers)
        answers_s = time.monotonic() - began
        _until(_has_looked)
        settled_s = time.monotonic() - began
        took = [_query(f"a red car, and {number} trees") for number in range(QUERIES)]
        median, p95 = np.percentile(took, [50, 95])
        began = time.monotonic()
        client.settle(PATIENCE_S)
        look_s = time.monotonic() - began
        memory = process.memory_info().rss / 1e6
        found_ms = float(np.median(list(_inserts(folder))))
    size = sum(each.stat().st_size for each in Path(places().store).parent.iterdir()) / 1e6
    return Size(
        pictures,
        size,
        memory,
        row_us,
        answers_s,
        settled_s,
        look_s,
        float(median),
        float(p95),
        found_ms,
    )


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon takes too long")
        time.sleep(0.02)


def _has_looked() -> bool:
    status = client.ask(wire.AskStatus(), PATIENCE_S)
    assert isinstance(status, wire.Status)
    return status.settled and status.model.state != "loading"


def _is_indexed(path: bytes) -> bool:
    """From then on a search finds it; one that asks for a million hits would take longer itself."""
    known = client.ask(wire.AskInfo(path=path), PATIENCE_S)
    return isinstance(known, wire.Info) and known.state == "indexed"


def _query(text: str) -> float:
    pieces = client.stream(wire.Search(terms=(wire.Term(text=text),), top=20), PATIENCE_S)
    return max(piece.took_ms for piece in pieces if isinstance(piece, wire.Hits))


def _inserts(folder: Path) -> Iterator[float]:
    """The first, which wakes the embedder, is not told."""
    for number in range(INSERTS + 1):
        path = folder / "pictures" / "0" / f"new-{number}.jpg"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, required=True, help="for the library; it stays")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    told = parser.parse_args()
    os.environ["IMGQ_HOME"] = str(told.folder / "home")
    told.out.mkdir(parents=True, exist_ok=True)
    sizes: list[Size] = []
    for pictures in sorted(told.pictures):
        sizes.append(measured(told.folder, pictures, grow(told.folder, pictures)))
        print(table(sizes), flush=True)
        report = {"machine": machine(), "sizes": [asdict(size) for size in sizes]}
        (told.out / "growth.json").write_text(json.dumps(report, indent=1))
        (told.out / "growth.md").write_text(table(sizes))
        lines = [
            Line(
                name,
                [(size.pictures, getattr(size, field)) for size in sizes if getattr(size, field)],
            )
            for name, field in COLUMNS
        ]
        (told.out / "growth.svg").write_text(drawn(lines, "pictures"))


if __name__ == "__main__":
    main()
