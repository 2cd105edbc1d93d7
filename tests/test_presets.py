"""Every preset as a person gets it, out of the hub's cache or from a file; its towers, its tokenizer."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from imgqd.embedder.device import Device
from imgqd.embedder.image import ImageTower
from imgqd.models import add, architecture, card, pull, text, tokenizer, towers, weights
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN, PRESETS, WEIGHTS_FILE, Preset
from made_weights import cache, shapes_of, write_zeros

PUBLISHED = [preset for preset in PRESETS if preset.name != BUILTIN]
SIGLIP2 = "ViT-B-16-SigLIP2-256"
WORDS = 400
TEXTS = [
    "a red car",
    "Ein Hund am Strand!",
    "une voiture rouge, deux chats",
    "x",
    "a long walk on the beach at sunset " * 20,
]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder, beside a hub's cache of the user's own, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr("imgqd.models.pull.find_spec", lambda name: name)
    # Of weights that are all zero, and up to a gigabyte long, nothing is told by a digest.
    monkeypatch.setattr(weights, "digest", lambda path: f"{Path(path).stat().st_size:064x}")
    return tmp_path / "models"


def lay_into_cache(models: Path, preset: Preset, zeros: Path) -> None:
    """Weights, and the tokenizer where the hub has it, as the hub's library lays them there."""
    assert preset.repository is not None
    home = models.parent / "hf"
    cache(home, preset.repository, WEIGHTS_FILE, zeros)
    wanted = architecture.blank_card("x", preset.architecture, preset.tag).tokenizer_from
    if wanted is not None:
        config = models.parent / "tokenizer_config.json"
        config.write_text("{}")
        snapshot = home / "hub" / f"models--{wanted.replace('/', '--')}" / "snapshots" / ("a" * 40)
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot.parents[1] / "refs").mkdir(exist_ok=True)
        (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
        (snapshot / config.name).symlink_to(config)


@pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
def test_preset_is_ready_once_the_hubs_cache_has_it(models: Path, preset: Preset) -> None:
    zeros = write_zeros(models.parent / "zeros.safetensors", shapes_of(preset.architecture))
    lay_into_cache(models, preset, zeros)
    ready = pull.ensure(models, preset.name, offline=True)
    assert card.load(models, preset.name) == ready
    assert (ready.dim, ready.architecture, ready.tag) == (
        preset.dim,
        preset.architecture,
        preset.tag,
    )
    assert Path(ready.weights).samefile(zeros)
    assert ready.complete
    assert (ready.tokenizer is None) == (ready.tokenizer_from is None)
    # And by open_clip's name it is the same model.
    full = pull.ensure(models, f"{preset.architecture}/{preset.tag}", offline=True)
    assert full.identity == ready.identity


@pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
def test_preset_knows_how_large_it_is(preset: Preset) -> None:
    shapes = shapes_of(preset.architecture).values()
    assert preset.parameters == sum(torch.Size(shape).numel() for shape in shapes)


@pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
def test_preset_is_taken_from_a_file(
    models: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = write_zeros(models.parent / "zeros.safetensors", shapes_of(preset.architecture))
    # Zeros that take no room would, as a copy.
    monkeypatch.setattr(weights, "bring", lambda source, folder, stem: (source, "0" * 64))
    added = add.add(models, preset.name, zeros)
    assert card.load(models, preset.name) == added
    assert (added.dim, added.tag) == (preset.dim, preset.tag)
    blank = architecture.blank_card(preset.name, preset.architecture, preset.tag)
    assert (added.pixels, added.mean, added.std) == (blank.pixels, blank.mean, blank.std)


def siglip2(folder: Path) -> tuple[Card, torch.nn.Module]:
    """SigLIP 2 with random weights, its text tower with two layers and few words; and open_clip's own whole
    model of it."""
    config = copy.deepcopy(architecture.config(SIGLIP2))
    config["text_cfg"] |= {"layers": 2, "vocab_size": WORDS}
    name = "SigLIP2-cut"
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(0)
    with towers._Unfilled():
        model: torch.nn.Module = open_clip.create_model(name).eval()
    for parameter in model.parameters():
        # As made, biases are zero and scales one: nothing would show one in the wrong place.
        base = parameter.data if parameter.ndim < 2 else 0.0
        parameter.data = base + 0.02 * torch.randn_like(parameter)
    state = {key: value.half() for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    path = folder / "cut.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    blank = architecture.blank_card(name, SIGLIP2, "webli")
    digest = weights.digest(path)
    return replace(blank, architecture=name, weights=str(path), sha256=digest), model


def test_siglip2s_towers_are_open_clips(tmp_path: Path) -> None:
    made, model = siglip2(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    seen = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        images = model.encode_image(seen, normalize=True).numpy()  # type: ignore[operator]
    tower = ImageTower(made, Device("cpu", "f32"), towers.load(made, "visual"))
    np.testing.assert_allclose(tower.embed(pixels), images, atol=2e-5)


def siglip2s_texts(folder: Path) -> tuple[Card, torch.nn.Module]:
    """Its text tower alone, with two layers and few words, out of a file; and open_clip's own."""
    parts = architecture.config(SIGLIP2)["text_cfg"] | {"layers": 2, "vocab_size": WORDS}
    name = "SigLIP2-texts"
    config = architecture.config(SIGLIP2) | {"text_cfg": parts}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(0)
    tower: torch.nn.Module = open_clip.model._build_text_tower(768, parts).eval()
    for parameter in tower.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    path = folder / "texts.safetensors"
    state = {f"text.{key}": value.contiguous() for key, value in tower.state_dict().items()}
    save_file(state, path)
    blank = architecture.blank_card(name, SIGLIP2, "webli")
    digest = weights.digest(path)
    return replace(blank, architecture=name, weights=str(path), sha256=digest), tower


def test_siglip2s_text_tower_is_open_clips(tmp_path: Path) -> None:
    made, tower = siglip2s_texts(tmp_path)
    tokens = torch.randint(3, WORDS, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        np.testing.assert_allclose(towers.load(made, "text")(tokens), tower(tokens), atol=2e-5)


def trained(folder: Path) -> Path:
    """A tokenizer of the hub's form, that has learned a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=WORDS, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
        "padding_side": "right",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


# It warns of what it is itself made of.
@pytest.mark.filterwarnings("ignore")
def test_siglip2s_texts_go_by_a_tokenizer_of_the_hubs_form(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="imgq[multilingual] is not installed")
    made, tower = siglip2s_texts(tmp_path)
    snapshot = trained(tmp_path / "hub" / "snapshots" / ("a" * 40))
    whole = replace(made, tokenizer=str(snapshot), architecture=SIGLIP2)
    tokens = tokenizer.tokenizer(whole)(TEXTS)
    theirs = open_clip.tokenizer.HFTokenizer(str(snapshot), context_length=64, clean="canonicalize")
    assert tokens.shape == (len(TEXTS), 64)
    assert torch.equal(tokens, theirs(TEXTS))
    # Case and punctuation go, as they did when it was taught; padding follows the words.
    assert torch.equal(tokens[0], tokenizer.tokenizer(whole)(["A RED car."])[0])
    assert tokens[3].count_nonzero() < tokens[1].count_nonzero() < 64
    ours = text.TextTower(replace(made, tokenizer=str(snapshot)), exact=True)
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(tower(tokens), dim=-1).numpy()
    np.testing.assert_allclose(ours.embed(TEXTS), wanted, atol=2e-5)
