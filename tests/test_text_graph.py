"""Texts without torch: the same tokens and the same vectors, from a graph that is made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from conftest import Home
from imgqd import choices, machine
from imgqd.choices import Choice
from imgqd.models import architecture, card, text, text_graph, towers
from imgqd.models.plain import plain
from imgqd.models.presets import PRESETS
from imgqd.models.text_onnx import OnnxTexts
from imgqd.models.tokens import clip_tokens
from test_towers import TEXTS, small_text_tower, some_tokens

ODD = [
    "it's a dog's 3.5 m",
    "a &amp; b &lt;i&gt;",
    "\u00c9 \uff26\uff35\uff2c\uff2c \ufb01ne",
    "\x00\t\n",
    "<end_of_text> x",
]

OURS, THEIRS = clip_tokens(16), open_clip.tokenizer.SimpleTokenizer(context_length=16)
BUILTIN = card.builtin()
assert BUILTIN is not None


def of_open_clip(texts: list[str], length: int) -> np.ndarray:
    found: np.ndarray = open_clip.tokenizer.SimpleTokenizer(context_length=length)(texts).numpy()
    return found


class TestTokens:
    @pytest.mark.parametrize("length", [12, 77])
    def test_are_open_clips_without_its_padding(self, length: int) -> None:
        for texts in (TEXTS + ODD, ["cat"], ["a long one " * 50]):
            ours, theirs = clip_tokens(length)(texts), of_open_clip(texts, length)
            np.testing.assert_array_equal(ours, theirs[:, : ours.shape[1]])
            assert not theirs[:, ours.shape[1] :].any()
            assert ours[:, -1].any()

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(texts=some.lists(some.text(max_size=40), min_size=1, max_size=3))
    def test_of_any_text_are_open_clips(self, texts: list[str]) -> None:
        ours, theirs = OURS(texts), THEIRS(texts).numpy()
        np.testing.assert_array_equal(ours, theirs[:, : ours.shape[1]])


@pytest.mark.parametrize("name", sorted({each.architecture for each in PRESETS}))
def test_of_every_preset_a_tower_stays_what_it_is(name: str) -> None:
    """With fewer layers and words; one that must not be cut, or is made otherwise, is left alone."""
    torch.manual_seed(0)
    tower = small_text_tower(name)
    whole = architecture.config(name)["text_cfg"].get("context_length", 77)
    tokens = some_tokens(tower, whole, [3, 5])
    with torch.inference_mode():
        answer = tower(tokens)
        other = plain(tower)
        assert (other is None) == ("SigLIP" in name)
        if other is not None:
            wanted = torch.nn.functional.normalize(answer, dim=-1)
            np.testing.assert_allclose(other(tokens[:, :7]), wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["MobileCLIP2-S0", "coca_ViT-B-32"])
def test_other_towers_have_no_graph(name: str) -> None:
    with torch.device("meta"):
        config = architecture.config(name)
        tower = open_clip.model._build_text_tower(config["embed_dim"], config["text_cfg"])
    assert plain(tower) is None


@pytest.fixture
def engines(tmp_path: Path) -> str:
    return str(tmp_path / "engines")


class TestKept:
    def test_the_daemon_holds_no_torch(self, engines: str) -> None:
        script = (
            "import sys, imgqd.__main__\n"
            "from imgqd.models import card, text\n"
            "texts = text.open_text_tower(card.builtin(), engines=sys.argv[1])\n"
            "texts.embed(['a red car'])\n"
            "print(type(texts).__name__, *sorted({'torch', 'open_clip'} & set(sys.modules)))"
        )
        told = subprocess.run(
            [sys.executable, "-c", script, engines], capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == ["OnnxTexts"]

    def test_a_graph_is_made_once_and_anew_where_it_is_damaged(
        self, engines: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = text_graph.kept(BUILTIN, False, engines)
        assert graph is not None
        exact = text.TextTower(BUILTIN, exact=True).embed(TEXTS)
        np.testing.assert_allclose(OnnxTexts(BUILTIN, graph).embed(TEXTS), exact, atol=1e-5)
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", _never)
            assert text_graph.kept(BUILTIN, False, engines) == graph
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        assert text_graph.kept(BUILTIN, False, engines) == graph
        assert graph.read_bytes() != content

    def test_what_cannot_be_made_is_tried_again_later(
        self, engines: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = replace(BUILTIN, sha256="0" * 64)
        assert text_graph.kept(other, False, engines) is None
        assert "texts are embedded by torch" in caplog.text
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", _never)
            assert text_graph.kept(other, False, engines) is None
        caplog.clear()
        monkeypatch.setattr(choices, "PAUSES_S", (0.0,))
        assert text_graph.kept(other, False, engines) is None
        assert "texts are embedded by torch" in caplog.text

    def test_torch_does_it_where_that_was_chosen(
        self, engines: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = text_graph.choices_of(BUILTIN, False, engines)
        held.begin(0)
        held.keep(text_graph.TORCH)
        monkeypatch.setattr(subprocess, "run", _never)
        assert text_graph.kept(BUILTIN, False, engines) is None
        assert isinstance(text.open_text_tower(BUILTIN, False, engines), text.TextTower)

    def test_torch_does_it_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        towers_ = text.open_text_tower(BUILTIN, False, str(tmp_path / "file" / "engines"))
        assert isinstance(towers_, text.TextTower)

    @pytest.mark.parametrize(
        ("bf16_s", "exact", "chosen"),
        [
            (0.1, False, text_graph.TORCH),
            (0.95, False, text_graph.ONNX),
            (0.1, True, text_graph.ONNX),
        ],
    )
    def test_bf16_is_chosen_where_it_pays(
        self,
        bf16_s: float,
        exact: bool,
        chosen: Choice,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(machine, "has_bf16", lambda: True)
        monkeypatch.setattr(
            text_graph, "_seconds", lambda texts: 1.0 if isinstance(texts, OnnxTexts) else bf16_s
        )
        assert text_graph._best(BUILTIN, exact, tmp_path / "graph.onnx") == chosen

    def test_other_vectors_are_not_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = towers.load

        def turned(of: card.Card, name: towers.Name) -> torch.nn.Module:
            tower: Any = real(of, name)
            monkeypatch.setattr(towers, "load", real)
            tower.positional_embedding.data.mul_(-1)
            return tower

        monkeypatch.setattr(towers, "load", turned)
        assert text_graph._best(BUILTIN, True, tmp_path / "graph.onnx") == text_graph.TORCH


@pytest.mark.skipif(
    sys.platform != "linux", reason="there is no /proc to see a process's libraries in"
)
def test_a_daemon_answers_without_torch(new_home: Callable[..., Home]) -> None:
    home = new_home()
    del home.environment["IMGQ_TEST_TEXT"]
    home.start()
    assert home.search("a red car") == []
    assert home.daemon is not None
    mapped = Path(f"/proc/{home.daemon.pid}/maps").read_text()
    assert "onnxruntime" in mapped
    assert "libtorch" not in mapped
    home.stop()


def _never(*_: object, **__: object) -> None:
    raise AssertionError("a process was started")
