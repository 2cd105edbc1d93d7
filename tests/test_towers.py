"""The split towers against open_clip's own whole model, with the same weights and real pixels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from imgq.errors import ModelMissing, Refused
from imgqd.embedder.device import Device
from imgqd.embedder.image import ImageTower
from imgqd.embedder.tower import OutOfMemory
from imgqd.models import (
    architecture,
    card,
    shortened,
    text,
    text_graph,
    tokenizer,
    towers,
    weights,
)
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN_ARCHITECTURE, PRESETS
from imgqd.models.text_onnx import OnnxTexts

# A ViT of open_clip's, convolutions of timm's, a ViT of timm's with its text tower under "text.".
DEFAULT, CONVOLUTIONS, CUSTOM = "ViT-B-32-256", BUILTIN_ARCHITECTURE, "PE-Core-T-16-384"
PLAIN = "ViT-S-32-alt"
TEXTS = [
    "a red car",
    "x",
    "",
    "Sonnenuntergang am Meer, 日没, 🌅",
    "a long walk on the beach at sunset " * 20,
]

Model = tuple[Card, Callable[..., torch.Tensor], Callable[..., torch.Tensor]]


def build(name: str, folder: Path, quick_gelu: bool = False, under_text: bool = False) -> Model:
    """A card on random weights, and open_clip's own encode_image and encode_text, normalized."""
    torch.manual_seed(0)
    model = open_clip.create_model(name, force_quick_gelu=quick_gelu).eval()
    for parameter in model.parameters():
        # As made, biases are zero and scales one: nothing would show a tensor in the wrong place.
        parameter.data += 0.02 * torch.randn_like(parameter)
    state = {key: value.half() for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    if under_text:
        state = open_clip.factory.convert_to_custom_text_state_dict(state)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    blank = architecture.blank_card(name, name, None)
    made = replace(blank, weights=str(path), sha256=weights.digest(path), quick_gelu=quick_gelu)
    return made, model.encode_image, model.encode_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module", params=[DEFAULT, CONVOLUTIONS, CUSTOM])
def model(request: pytest.FixtureRequest, folder: Path) -> Model:
    return build(request.param, folder)


def pictures(of: Card) -> np.ndarray:
    """uint8 (4, height, width, 3): noise, a ramp, a red one and a black one."""
    height, width = of.pixels.height, of.pixels.width
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3))
    red = np.broadcast_to(np.array([200, 30, 20]), (height, width, 3))
    return np.stack([noise, ramp.astype(np.uint8), red.astype(np.uint8), np.zeros_like(noise)])


def seen_by_open_clip(of: Card, pixels: np.ndarray) -> torch.Tensor:
    """What open_clip's own preprocessing makes of the pictures."""
    visual = open_clip.create_model(of.architecture, device="meta").visual
    preprocess = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**visual.preprocess_cfg), is_train=False
    )
    return torch.stack([preprocess(Image.fromarray(each)) for each in pixels])


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = (one * other).sum(axis=1)
    return found


class TestImages:
    def test_are_embedded_as_by_open_clip(self, model: Model) -> None:
        made, encode_image, _ = model
        # Without a tag, open_clip normalizes every model as CLIP.
        made = replace(made, mean=card.OPENAI_MEAN, std=card.OPENAI_STD)
        pixels = pictures(made)
        with torch.inference_mode():
            wanted = encode_image(seen_by_open_clip(made, pixels), normalize=True).numpy()
        exact = ImageTower(made, Device("cpu", "f32"), towers.load(made, "visual")).embed(pixels)
        assert exact.dtype == np.float32
        np.testing.assert_allclose(exact, wanted, atol=2e-5)
        quick = ImageTower(made, Device("cpu", "bf16"), towers.load(made, "visual")).embed(pixels)
        assert cosines(quick, wanted).min() >= 0.999
        assert np.abs(np.linalg.norm(quick, axis=1) - 1).max() < 1e-6

    def test_out_of_memory_is_told_apart(self, model: Model) -> None:
        made = model[0]
        tower = ImageTower(made, Device("cpu", "f32"), _Failing(torch.OutOfMemoryError("no")))
        with pytest.raises(OutOfMemory):
            tower.embed(pictures(made))
        said = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        tower = ImageTower(made, Device("cpu", "f32"), _Failing(said))
        with pytest.raises(OutOfMemory):
            tower.embed(pictures(made))
        tower = ImageTower(made, Device("cpu", "f32"), _Failing(RuntimeError("a bug")))
        with pytest.raises(RuntimeError, match="a bug"):
            tower.embed(pictures(made))


class TestTexts:
    def test_are_embedded_as_by_open_clip(self, model: Model) -> None:
        made, _, encode_text = model
        tower = text.TextTower(made)
        tokens = open_clip.get_tokenizer(made.architecture)(TEXTS)
        with torch.inference_mode():
            wanted = encode_text(tokens, normalize=True).numpy()
        # Short and long ones by themselves and together, since padding is cut.
        np.testing.assert_allclose(tower.embed(TEXTS), wanted, atol=2e-5)
        for each, vector in zip(TEXTS, wanted, strict=True):
            np.testing.assert_allclose(tower.embed([each])[0], vector, atol=2e-5)
        np.testing.assert_allclose(tower.embed(TEXTS), wanted, atol=2e-5)
        assert tower.embed([]).shape == (0, made.dim)

    def test_by_a_graph_are_as_by_open_clip(self, model: Model, tmp_path: Path) -> None:
        made, _, encode_text = model
        assert text_graph.write(made, tmp_path / "graph.onnx")
        texts = OnnxTexts(made, tmp_path / "graph.onnx")
        tokens = open_clip.get_tokenizer(made.architecture)(TEXTS)
        with torch.inference_mode():
            wanted = encode_text(tokens, normalize=True).numpy()
        np.testing.assert_allclose(texts.embed(TEXTS), wanted, atol=2e-5)
        for each, vector in zip(TEXTS, wanted, strict=True):
            np.testing.assert_allclose(texts.embed([each])[0], vector, atol=2e-5)
        assert texts.embed([]).shape == (0, made.dim)

    def test_are_cut_only_where_the_tower_is_causal(self) -> None:
        with torch.device("meta"):
            for name, cut in {
                PLAIN: True,
                CUSTOM: True,
                "ViT-B-32-SigLIP2-256": False,
                "MobileCLIP2-S0": False,
                "coca_ViT-B-32": False,
            }.items():
                config = architecture.config(name)
                tower = open_clip.model._build_text_tower(config["embed_dim"], config["text_cfg"])
                assert (shortened.last_token(tower) is not None) == cut, name

    @pytest.mark.parametrize("name", sorted({each.architecture for each in PRESETS}))
    def test_without_padding_are_as_open_clip_has_them(self, name: str) -> None:
        """Of each preset's text tower, with fewer layers and words: what is cut does not depend on them."""
        torch.manual_seed(0)
        tower = small_text_tower(name)
        given: list[int] = []
        tower.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].shape[1]))
        whole = architecture.config(name)["text_cfg"].get("context_length", 77)
        cut = shortened.Shortened(tower)
        short, full = some_tokens(tower, whole, [3, 5]), some_tokens(tower, whole, [whole - 2])
        with torch.inference_mode():
            wanted = [tower(short), tower(full)]
            np.testing.assert_allclose(cut(short), wanted[0], atol=1e-5)
            np.testing.assert_allclose(cut(full), wanted[1], atol=1e-5)
        is_cut = "SigLIP" not in name
        assert given == [whole, whole, 7 if is_cut else whole, whole]

    def test_in_bf16_are_the_same_where_that_is_used(self) -> None:
        builtin = card.builtin()
        assert builtin is not None
        exact, near = text.TextTower(builtin, exact=True), text.TextTower(builtin, exact=True)
        near._tower = shortened.Shortened(towers.load(builtin, "text").to(torch.bfloat16))
        assert cosines(exact.embed(TEXTS), near.embed(TEXTS)).min() >= 0.999

    def test_are_tried_in_bf16_where_the_cpu_may_have_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        builtin = card.builtin()
        assert builtin is not None
        tried: list[torch.dtype] = []
        has_bf16 = True

        def trial(tower: torch.nn.Module, sample: torch.Tensor) -> tuple[np.ndarray, float]:
            dtype = next(tower.parameters()).dtype
            tried.append(dtype)
            return real(tower, sample)[0], seconds[dtype]

        real = text._tried
        monkeypatch.setattr(text, "_tried", trial)
        monkeypatch.setattr(
            torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_bf16, raising=False
        )
        for quick, used in ((0.5, torch.bfloat16), (0.95, torch.float32), (3.0, torch.float32)):
            seconds = {torch.float32: 1.0, torch.bfloat16: quick}
            assert precision(text.TextTower(builtin)) == used
        assert set(tried) == {torch.float32, torch.bfloat16}
        tried.clear()
        assert precision(text.TextTower(builtin, exact=True)) == torch.float32
        has_bf16 = False
        assert precision(text.TextTower(builtin)) == torch.float32
        assert tried == []

    def test_of_a_fake_need_no_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMGQ_TEST_TEXT", "fake_embedder:FakeTexts")
        builtin = card.builtin()
        assert builtin is not None
        red, car, green = text.open_text_tower(builtin).embed(["red", "a red car", "green"])
        assert red @ car > 0.999 > 0.5 > red @ green


def small_text_tower(name: str) -> torch.nn.Module:
    """An architecture's text tower with two layers, few words and random weights."""
    config = architecture.config(name)
    parts = config["text_cfg"] | {"layers": 2, "vocab_size": 1000}
    tower: torch.nn.Module = open_clip.model._build_text_tower(config["embed_dim"], parts)
    for parameter in tower.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return tower.eval()


def some_tokens(tower: torch.nn.Module, length: int, words: list[int]) -> torch.Tensor:
    """Texts of so many words: a start, words, an end, and padding."""
    end = tower.eos_id if tower.pool_type == "eos" else 999
    tokens = torch.zeros(len(words), length, dtype=torch.int64)
    for row, count in zip(tokens, words, strict=True):
        row[0], row[count + 1] = 998, int(end)
        row[1 : count + 1] = torch.arange(100, 100 + count)
    return tokens


def precision(tower: text.TextTower) -> torch.dtype:
    return next(tower._tower._tower.parameters()).dtype


class TestWeights:
    def test_lie_at_the_root_or_under_text(self, folder: Path, tmp_path: Path) -> None:
        at_root = build(PLAIN, folder)[0]
        under_text = build(PLAIN, tmp_path, under_text=True)[0]
        one, other = text.TextTower(at_root), text.TextTower(under_text)
        np.testing.assert_array_equal(one.embed(TEXTS), other.embed(TEXTS))

    def test_of_quick_gelu_are_used_with_it(self, tmp_path: Path) -> None:
        made, encode_image, _ = build(PLAIN, tmp_path, quick_gelu=True)
        pixels = pictures(made)
        with torch.inference_mode():
            wanted = encode_image(seen_by_open_clip(made, pixels), normalize=True).numpy()
        found = ImageTower(made, Device("cpu", "f32"), towers.load(made, "visual")).embed(pixels)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        plain = replace(made, quick_gelu=False)
        other = ImageTower(plain, Device("cpu", "f32"), towers.load(plain, "visual")).embed(pixels)
        assert np.abs(other - wanted).max() > 1e-3

    def test_that_do_not_fit_are_refused(self, folder: Path) -> None:
        made = build(PLAIN, folder)[0]
        for name in towers.TOWERS:
            with pytest.raises(Refused, match="does not fit"):
                towers.load(replace(made, architecture="ViT-S-16"), name)

    def test_of_one_tower_alone_are_read(self, folder: Path, tmp_path: Path) -> None:
        made = build(PLAIN, folder)[0]
        state = towers.load(made, "text").state_dict()
        save_file(
            {key: value.contiguous() for key, value in state.items()},
            tmp_path / "w.safetensors",
        )
        path = tmp_path / "w.safetensors"
        half = replace(made, weights=str(path), sha256=weights.digest(path))
        towers.load(half, "text")
        with pytest.raises(Refused, match="missing"):
            towers.load(half, "visual")


class TestTokenizer:
    def test_of_transformers_is_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        blank = architecture.blank_card("multilingual", "ViT-B-16-SigLIP2-256", "webli")
        monkeypatch.setattr("imgqd.models.pull.find_spec", lambda name: None)
        with pytest.raises(Refused, match="needs the package transformers"):
            tokenizer.tokenizer(blank)
        monkeypatch.setattr("imgqd.models.pull.find_spec", lambda name: name)
        with pytest.raises(ModelMissing, match="not on disk"):
            tokenizer.tokenizer(blank)


def test_the_builtin_models_own_weights_survive_bf16() -> None:
    builtin = card.builtin()
    assert builtin is not None
    pixels = pictures(builtin)
    exact, quick = (
        ImageTower(builtin, Device("cpu", precision), towers.load(builtin, "visual")).embed(pixels)
        for precision in ("f32", "bf16")
    )
    assert cosines(exact, quick).min() >= 0.999
    # And it tells them apart: a tower of random weights hardly does.
    assert all(one @ other < 0.98 for one, other in itertools.combinations(exact, 2))


class _Failing(torch.nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        raise self._error
