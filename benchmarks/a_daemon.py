"""A real daemon in a folder of its own, and a library of pictures for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from imgq import client, wire

# A busy machine makes figures worse, and no benchmark fail.
PATIENCE_S = 600.0


@contextmanager
def daemon(model: str = "builtin") -> Iterator[Path]:
    """A folder; IMGQ_HOME is in it, and what is put into its `pictures` is watched."""
    with tempfile.TemporaryDirectory(prefix="imgq-bench-") as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        os.environ["IMGQ_HOME"] = str(folder / "home")
        reading, writing = os.pipe()
        with open(folder / "log", "wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "imgqd", "--model", model, "--ready", str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                # As `imgq start` has it: Linux shares the cores among sessions first.
                start_new_session=True,
            )
        os.close(writing)
        try:
            with open(reading, "rb") as pipe:
                said = json.loads(pipe.readline() or b'{"exit_code": 70}')
            if said["exit_code"]:
                raise RuntimeError((folder / "log").read_text())
            client.ask(wire.Add(paths=(os.fsencode(folder / "pictures"),)))
            yield folder
        finally:
            child.terminate()
            child.wait()


def settle() -> None:
    client.settle(PATIENCE_S)


def ask(text: str) -> wire.Hits:
    """Searches for a text."""
    asked = wire.Search(terms=(wire.Term(text=text),))
    (reply,) = client.stream(asked, PATIENCE_S)
    assert isinstance(reply, wire.Hits)
    return reply


def make(folder: Path, count: int, width: int = 640, height: int = 480) -> None:
    """JPEGs of soft noise, no two alike, in folders of 1000."""
    folder.mkdir(exist_ok=True)
    with ProcessPoolExecutor() as pool:
        jobs = [(folder, start, min(start + 1000, count)) for start in range(0, count, 1000)]
        list(pool.map(_make_some, jobs, [(width, height)] * len(jobs)))


def _make_some(job: tuple[Path, int, int], size: tuple[int, int]) -> None:
    folder, start, end = job
    inside = folder / f"{start // 1000:04}"
    inside.mkdir()
    for number in range(start, end):
        dice = np.random.default_rng((os.getpid(), time.time_ns(), number))
        small = Image.fromarray(dice.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BILINEAR).save(inside / f"{number}.jpg", quality=80)
