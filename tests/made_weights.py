"""Weights made for the tests: sound files of every shape that take no room, and a hub that has them."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import torch

from imgqd.models import weights
from imgqd.models.presets import PRESETS

SMALL = "ViT-S-32-alt"
FAST = next(preset for preset in PRESETS if preset.name == "fast")

Shapes = dict[str, tuple[int, ...]]


def shapes_of(name: str) -> Shapes:
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta")
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def write_zeros(path: Path, shapes: Shapes) -> Path:
    """A sound safetensors file of one-byte floats, all zero, that takes no room on disk."""
    header: dict[str, Any] = {}
    end = 0
    for key, shape in shapes.items():
        start, end = end, end + torch.Size(shape).numel()
        header[key] = {"dtype": "F8_E4M3", "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    os.truncate(path, 8 + len(head) + end)
    return path


def run(
    models: Path, *words: str | Path, **environment: str | Path
) -> subprocess.CompletedProcess[str]:
    """`python -m imgqd.models` as client and daemon run it, in a home of its own, with no network."""
    command = [sys.executable, "-m", "imgqd.models", *map(str, words), "--models", str(models)]
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    base = {name: value for name, value in os.environ.items() if name not in proxies}
    own = {"IMGQ_HOME": models.parent / "home", "HF_HOME": models.parent / "hf"}
    refusing = {"HF_ENDPOINT": "http://127.0.0.1:1"}
    variables = base | {k: str(v) for k, v in (own | refusing | environment).items()}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)


def cache(home: Path, repository: str, file: str, content: Path) -> None:
    """Lays a file into the hub library's own cache."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    (snapshot / file).symlink_to(content)


class FakeHub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for the files it has: commit, ETag, length, bytes."""

    files: dict[str, Path]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        file = self.files.get(self.path)
        if file is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", "b" * 40)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", "b" * 40)
        self.send_header("ETag", f'"{weights.digest(file)}"')
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()
        if with_body:
            with open(file, "rb") as content:
                shutil.copyfileobj(content, self.wfile)

    def log_message(self, *_: object) -> None:
        pass
