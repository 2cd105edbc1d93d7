"""A change between two real models: builtin, and one of open_clip's with random weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from conftest import Home, until
from imgqd.models import card, text
from made_weights import SMALL
from pictures import jpeg

PICTURES = 12
QUERY = "a red car"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(tmp_path, {})
    monkeypatch.setenv("IMGQ_HOME", home.environment["IMGQ_HOME"])
    yield home
    if home.daemon is not None and home.daemon.poll() is None:
        home.kill()


def random_weights(folder: Path) -> Path:
    torch.manual_seed(0)
    model = open_clip.create_model(SMALL)
    state = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "small.safetensors")
    return folder / "small.safetensors"


def scores(home: Home, model: str) -> dict[str, float]:
    """Of all pictures, by the daemon."""
    answer = json.loads(home.imgq("search", QUERY, "--json", "-k", "100", "--model", model).stdout)
    assert answer["model"] == model
    return {hit["path"]: hit["score"] for hit in answer["results"]}


def expected(home: Home, model: str) -> dict[str, float]:
    """By the vectors that are exported, and the text tower of that model."""
    made = card.load(home.folder / "home" / "models", model)
    assert made is not None
    [query] = text.TextTower(made, exact=True).embed([QUERY])
    home.imgq("export", "--npz", str(home.folder / "all.npz"))
    with np.load(home.folder / "all.npz") as exported:
        paths = [os.fsdecode(path) for path in exported["paths"]]
        vectors = exported["vectors"]
    assert vectors.shape == (PICTURES, made.dim)
    return dict(zip(paths, (vectors @ query).tolist(), strict=True))


def test_real_models_are_exchanged(home: Home) -> None:
    for number in range(PICTURES):
        jpeg(home.pictures / f"{number}.jpg", number)
    added = home.imgq(
        "model",
        "add",
        "mine",
        "--architecture",
        SMALL,
        "--weights",
        str(random_weights(home.folder)),
    )
    assert added.returncode == 0, added.stderr
    home.start()
    home.watch()
    home.settle()
    before = scores(home, "builtin")
    assert home.imgq("model", "use", "mine", "--keep").returncode == 0
    until(lambda: home.status().model.name == "mine", "the change", 120.0)
    assert scores(home, "mine") == pytest.approx(expected(home, "mine"), abs=2e-2)
    assert scores(home, "builtin") == pytest.approx(before, abs=1e-5)
