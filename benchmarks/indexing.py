"""How many pictures a second come into the index, beside other ways to embed a folder.

    python -m benchmarks.indexing PHOTOS --pictures 200 --out build/bench
    python -m benchmarks.indexing PHOTOS --pictures 64 --megapixels 12 --out build/bench

PHOTOS is a folder of JPEGs. With --megapixels each picture is a copy of one of them, scaled up. The model
is ViT-B-32-256 with random weights, which take as long as trained ones. Each contender is a process of its
own on the same cores (`taskset -c 0,1` in front gives it two), one after the other in each round. Its clock
runs from the first file to the last vector, with its model loaded and warm; imgq is a real daemon, whose
clock runs from `imgq add` until everything is settled. Writes JSON, a Markdown table and a drawing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from benchmarks.embedders import BOUND, CONTENDERS, IMGQ, Job, cores, pictures
from benchmarks.machine import machine
from benchmarks.photos import make, write_weights


@dataclass(frozen=True, slots=True)
class Result:
    """rate: pictures a second, the median of the rounds, with the least and the most. cosine: the least one
    to open_clip's own vectors, None where there are none."""

    contender: str
    rate: float
    least: float
    most: float
    cosine: float | None


def compare(job: Job, rounds: int) -> Iterator[Result]:
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    vectors: dict[str, np.ndarray] = {}
    count = len(pictures(job))
    for _ in range(rounds):
        for name in CONTENDERS:
            told = json.dumps(job | {"contender": name, "vectors": f"{job['home']}/found.npy"})
            command = [sys.executable, "-m", "benchmarks.embedders", told]
            ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rates[name].append(count / float(ran.stdout.splitlines()[-1]))
            vectors[name] = np.load(f"{job['home']}/found.npy")
            print(f"{name}: {rates[name][-1]:.1f} pictures/s", file=sys.stderr, flush=True)
    wanted = vectors[next(iter(CONTENDERS))]
    for name, found in rates.items():
        same = None if name == BOUND else float((vectors[name] * wanted).sum(axis=1).min())
        yield Result(name, statistics.median(found), min(found), max(found), same)


def table(results: list[Result]) -> str:
    lines = [
        "| contender | pictures/s | least to most | times ONNX Runtime | cosine to open_clip |",
        "|---|---|---|---|---|",
    ]
    onnx = next(each.rate for each in results if "ONNX" in each.contender)
    for each in results:
        same = "" if each.cosine is None else f"{each.cosine:.5f}"
        spread = f"{each.least:.1f} to {each.most:.1f}"
        ratio = f"{each.rate / onnx:.2f}"
        lines.append(f"| {each.contender} | {each.rate:.1f} | {spread} | {ratio} | {same} |")
    return "\n".join(lines) + "\n"


def drawn(results: list[Result]) -> str:
    """Bars, as SVG."""
    most = max(each.rate for each in results)
    parts = []
    for number, each in enumerate(results):
        y, width = 20 + 34 * number, 420 * each.rate / most
        color = "#1b6ca8" if each.contender == IMGQ else "#999"
        parts.append(
            f'<text x="270" y="{y + 15}" text-anchor="end">{escape(each.contender)}</text>'
        )
        parts.append(f'<rect x="280" y="{y}" width="{width:.0f}" height="22" fill="{color}"/>')
        parts.append(f'<text x="{286 + width:.0f}" y="{y + 15}">{each.rate:.1f}/s</text>')
    height = 40 + 34 * len(results)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {height}" font-family="sans-serif"'
    return (
        f'{head} font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgq-bench-") as name:
        folder = Path(name)
        (folder / "library").mkdir()
        make(asked.photos, folder / "library", asked.pictures, asked.megapixels)
        write_weights(folder / "weights.safetensors")
        job = {
            "folder": str(folder / "library"),
            "weights": str(folder / "weights.safetensors"),
            "home": name,
        }
        results = list(compare(job, asked.rounds))
    _write(asked, results)


def _write(asked: argparse.Namespace, results: list[Result]) -> None:
    asked.out.mkdir(parents=True, exist_ok=True)
    place = asked.out / (f"indexing-{asked.megapixels:g}mp" if asked.megapixels else "indexing")
    content = {
        "machine": machine() | {"cores_used": cores()},
        "pictures": asked.pictures,
        "megapixels": asked.megapixels,
        "rounds": asked.rounds,
        "results": [asdict(each) for each in results],
    }
    place.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(results))
    place.with_suffix(".svg").write_text(drawn(results))
    print(table(results))


if __name__ == "__main__":
    main()
