"""Ways to embed a folder of photographs, each in a process of its own.

    python -m benchmarks.embedders '{"contender": …, "folder": …, "weights": …, "home": …, "vectors": …}'

Writes the vectors, a row a file, and prints the seconds that they took, with the model loaded and warm.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.photos import ARCHITECTURE, files

# rclip's batch, and what open_clip's users and clip-retrieval's take where no GPU sets it.
ONNX_BATCH, LOADER_BATCH = 8, 32
IMGQ, BOUND = "imgq", "imgq's bound: cores / (forward + decode)"
Job = dict[str, Any]
# Seconds, and a vector a file: float32 (n, dim).
Found = tuple[float, np.ndarray]


def _model(job: Job) -> tuple[Any, Any]:
    import open_clip

    torch.set_num_threads(cores())
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


def open_clip_loop(job: Job, batch: int = LOADER_BATCH) -> Found:
    """What most tools do: torch in f32, and a DataLoader with a worker a core."""
    model, preprocess = _model(job)

    def run(paths: list[Path]) -> np.ndarray:
        loader = torch.utils.data.DataLoader(
            _Files(paths, preprocess), batch_size=batch, num_workers=cores(), prefetch_factor=2
        )
        with torch.inference_mode():
            return np.concatenate([model.encode_image(x, normalize=True).numpy() for x in loader])

    return _timed(run, job)


def clip_retrieval(job: Job) -> Found:
    """clip-retrieval's inference on a CPU: the same, and each part of the vectors written as .npy."""
    model, preprocess = _model(job)

    def run(paths: list[Path]) -> np.ndarray:
        loader = torch.utils.data.DataLoader(
            _Files(paths, preprocess), batch_size=LOADER_BATCH, num_workers=cores()
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


def onnx_f32(job: Job) -> Found:
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
    options.intra_op_num_threads = cores()
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


def imgq(job: Job) -> Found:
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
    return seconds, np.stack([by_name[path.name] for path in pictures(job)])


def bound(job: Job) -> Found:
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
    paths = pictures(job)[:48]
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
    forward = cores() * (time.perf_counter() - began) / len(paths)
    print(f"core-seconds a picture: forward {forward:.4f}, decode {decoding:.4f}", file=sys.stderr)
    return len(pictures(job)) * (forward + decoding) / cores(), np.empty((0, made.dim))


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


CONTENDERS: dict[str, Callable[[Job], Found]] = {
    "open_clip, torch f32, DataLoader": open_clip_loop,
    "clip-retrieval's way": clip_retrieval,
    "ONNX Runtime f32 (rclip's way)": onnx_f32,
    IMGQ: imgq,
    BOUND: bound,
}


def _timed(run: Callable[[list[Path]], np.ndarray], job: Job) -> Found:
    run(files(Path(job["folder"]) / "warming"))
    began = time.perf_counter()
    found = run(pictures(job))
    return time.perf_counter() - began, found


def pictures(job: Job) -> list[Path]:
    return files(Path(job["folder"]) / "pictures")


def cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _run(*words: str) -> str:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    job = json.loads(sys.argv[1])
    seconds, found = CONTENDERS[job["contender"]](job)
    np.save(job["vectors"], found)
    print(seconds)


if __name__ == "__main__":
    main()
