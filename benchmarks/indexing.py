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
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import machine

ARCHITECTURE = "ViT-B-32-256"
SEED = 0
# rclip's batch, and what open_clip's users and clip-retrieval's take where no GPU sets it.
ONNX_BATCH, LOADER_BATCH = 8, 32
WARMING = 8
IMGQ, BOUND = "imgq", "imgq's bound: cores / (forward + decode)"
Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """rate: pictures a second, the median of the rounds, with the least and the most. cosine: the least one
    to open_clip's own vectors, None where there are none."""

    contender: str
    rate: float
    least: float
    most: float
    cosine: float | None


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))


def make(photos: Path, folder: Path, count: int, megapixels: float) -> None:
    """The pictures, and the first few again, of another size, for warming. Scaled up, there may be any
    number."""
    there = files(photos)
    for name in ("warming", "pictures"):
        (folder / name).mkdir()
    for number in range(WARMING):
        _enlarge(there[number], folder / "warming" / f"{number}.jpg", number, megapixels or 0.1)
    for number in range(count):
        place = folder / "pictures" / f"{number:05}.jpg"
        if megapixels:
            _enlarge(there[number % len(there)], place, WARMING + number, megapixels)
        else:
            shutil.copyfile(there[number], place)


def _enlarge(photo: Path, place: Path, number: int, megapixels: float) -> None:
    with Image.open(photo) as image:
        small = image.convert("RGB")
    # One pixel tells copies apart that are of the same photo.
    small.putpixel((0, 0), (number % 256, number // 256, 0))
    factor = (megapixels * 1e6 / (small.width * small.height)) ** 0.5
    size = (round(small.width * factor), round(small.height * factor))
    small.resize(size, Image.Resampling.BICUBIC).save(place, quality=90)


def write_weights(place: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    model = open_clip.create_model(ARCHITECTURE)
    for parameter in model.parameters():
        # As made, towers give all pictures nearly the same vector.
        parameter.data += 0.02 * torch.randn_like(parameter)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, place)


# ── the contenders, each in a process of its own: seconds, and a vector a file ─────────────────────────


def _model(job: Job) -> tuple[Any, Any]:
    import open_clip

    torch.set_num_threads(_cores())
    model, _, preprocess = open_clip.create_model_and_transforms(
        ARCHITECTURE, pretrained=job["weights"]
    )
    return model.eval(), preprocess


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, paths: list[Path], preprocess: Any) -> None:
        self._paths, self._preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with Image.open(self._paths[number]) as image:
            seen: torch.Tensor = self._preprocess(image.convert("RGB"))
        return seen


def open_clip_loop(job: Job, batch: int = LOADER_BATCH) -> tuple[float, np.ndarray]:
    """What most tools do: torch in f32, and a DataLoader with a worker a core."""
    model, preprocess = _model(job)

    def run(paths: list[Path]) -> np.ndarray:
        loader = torch.utils.data.DataLoader(
            _Files(paths, preprocess), batch_size=batch, num_workers=_cores(), prefetch_factor=2
        )
        with torch.inference_mode():
            return np.concatenate([model.encode_image(x, normalize=True).numpy() for x in loader])

    return _timed(run, job)


def clip_retrieval(job: Job) -> tuple[float, np.ndarray]:
    """clip-retrieval's inference on a CPU: the same, and each part of the vectors written as .npy."""
    model, preprocess = _model(job)

    def run(paths: list[Path]) -> np.ndarray:
        loader = torch.utils.data.DataLoader(
            _Files(paths, preprocess), batch_size=LOADER_BATCH, num_workers=_cores()
        )
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            parts = []
            for number, pixels in enumerate(loader):
                features = model.encode_image(pixels)
                features /= features.norm(dim=-1, keepdim=True)
                parts.append(features.cpu().to(torch.float16).numpy())
                np.save(Path(folder) / f"img_emb_{number}.npy", parts[-1])
            return np.concatenate(parts).astype(np.float32)

    return _timed(run, job)


def onnx_f32(job: Job) -> tuple[float, np.ndarray]:
    """rclip's engine and pipeline: eight files are decoded and prepared, then the session runs."""
    import onnxruntime

    model, preprocess = _model(job)
    graph = Path(job["home"]) / "rclip.onnx"
    torch.backends.mha.set_fastpath_enabled(False)
    side = model.visual.image_size[0]
    torch.onnx.export(
        model.visual,
        (torch.zeros(2, 3, side, side),),
        str(graph),
        dynamo=False,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_axes={"pixels": {0: "n"}, "features": {0: "n"}},
        opset_version=17,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _cores()
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def run(paths: list[Path]) -> np.ndarray:
        dataset, parts = _Files(paths, preprocess), []
        for start in range(0, len(paths), ONNX_BATCH):
            numbers = range(start, min(start + ONNX_BATCH, len(paths)))
            pixels = np.stack([dataset[number].numpy() for number in numbers])
            found = session.run(None, {"pixels": pixels})[0]
            parts.append(found / np.linalg.norm(found, axis=1, keepdims=True))
        return np.concatenate(parts)

    return _timed(run, job)


def imgq(job: Job) -> tuple[float, np.ndarray]:
    """A daemon that has embedded a few pictures before; what it measured of the engines is remembered."""
    home = Path(job["home"])
    os.environ["IMGQ_HOME"] = str(home / "imgq")
    if not (home / "imgq").exists():
        (home / "imgq" / "models").mkdir(parents=True)
        options = ["--weights", job["weights"], "--architecture", ARCHITECTURE]
        models = ["--models", str(home / "imgq" / "models")]
        _run("imgqd.models", "add", "bench", *options, *models)
    _run("imgq", "start", "--model", "bench")
    try:
        _run("imgq", "add", "--wait", str(Path(job["folder"]) / "warming"))
        began = time.perf_counter()
        _run("imgq", "add", "--wait", str(Path(job["folder"]) / "pictures"))
        seconds = time.perf_counter() - began
        status = json.loads(_run("imgq", "status", "--json"))
        print(json.dumps(status["model"]), file=sys.stderr)
        _run("imgq", "export", "--npz", str(home / "vectors.npz"))
    finally:
        _run("imgq", "stop")
        shutil.rmtree(home / "imgq" / "index")
    with np.load(home / "vectors.npz") as found:
        by_name = {
            os.path.basename(str(p)): v
            for p, v in zip(found["paths"], found["vectors"], strict=True)
        }
    return seconds, np.stack([by_name[path.name] for path in _pictures(job)])


def bound(job: Job) -> tuple[float, np.ndarray]:
    """What no pipeline of these parts can beat: the forward pass by itself on all cores, in the batches
    that imgq takes, and the decoding by itself on one."""
    from imgqd.embedder.engines import open_image_tower
    from imgqd.embedder.tower import Configuration
    from imgqd.models import card
    from imgqd.pictures.opening import prepare

    models = Path(job["home"]) / "imgq" / "models"
    made = card.load(models, "bench")
    assert made is not None
    prepare()
    paths = _pictures(job)[:48]
    _decode_all(paths[:2], made.pixels)
    began = time.perf_counter()
    pixels = _decode_all(paths, made.pixels)
    decoding = (time.perf_counter() - began) / len(paths)
    tower = open_image_tower(Configuration(made, engines=str(models / "engines")))
    batches = [pixels[start : start + tower.batch] for start in range(0, len(pixels), tower.batch)]
    tower.embed(batches[0])
    began = time.perf_counter()
    for batch in batches:
        tower.embed(batch)
    forward = _cores() * (time.perf_counter() - began) / len(paths)
    print(f"core-seconds a picture: forward {forward:.4f}, decode {decoding:.4f}", file=sys.stderr)
    return len(_pictures(job)) * (forward + decoding) / _cores(), np.empty((0, made.dim))


def _decode_all(paths: list[Path], spec: Any) -> np.ndarray:
    from imgqd.pictures.decode import Decoded, decode
    from imgqd.pictures.limits import Limits

    found = []
    for path in paths:
        with open(path, "rb") as file:
            decoded = decode(file, spec, Limits())
        assert isinstance(decoded, Decoded)
        found.append(np.frombuffer(decoded.pixels, np.uint8).reshape(spec.height, spec.width, 3))
    return np.stack(found)


CONTENDERS = {
    "open_clip, torch f32, DataLoader": open_clip_loop,
    "clip-retrieval's way": clip_retrieval,
    "ONNX Runtime f32 (rclip's way)": onnx_f32,
    IMGQ: imgq,
    BOUND: bound,
}


def _timed(run: Any, job: Job) -> tuple[float, np.ndarray]:
    run(files(Path(job["folder"]) / "warming"))
    began = time.perf_counter()
    found = run(_pictures(job))
    return time.perf_counter() - began, found


def _pictures(job: Job) -> list[Path]:
    return files(Path(job["folder"]) / "pictures")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _run(*words: str) -> str:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# ── rounds, and what is written of them ───────────────────────────────────────────────────────────────


def compare(job: Job, rounds: int) -> Iterator[Result]:
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    vectors: dict[str, np.ndarray] = {}
    count = len(_pictures(job))
    for _ in range(rounds):
        for name in CONTENDERS:
            told = json.dumps(job | {"contender": name, "vectors": f"{job['home']}/found.npy"})
            command = [sys.executable, "-m", "benchmarks.indexing", "--job", told]
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
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        seconds, found = CONTENDERS[asked.job["contender"]](asked.job)
        np.save(asked.job["vectors"], found)
        print(seconds)
        return
    if asked.photos is None:
        parser.error("which folder of JPEGs?")
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
        "machine": machine() | {"cores_used": _cores()},
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
