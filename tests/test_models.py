"""The models' names and cards, and what is listed of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg

from imgq.errors import ModelMissing, UsageError
from imgqd.models import architecture, card, source, speeds, towers
from imgqd.models.add import add
from imgqd.models.card import Card
from imgqd.models.presets import BUILTIN, PRESETS, WEIGHTS_FILE
from imgqd.records import PixelSpec
from made_weights import SMALL, run, shapes_of, write_zeros

PUBLISHED = [preset for preset in PRESETS if preset.name != BUILTIN]
# Before any test makes some of its own known.
ARCHITECTURES = sorted(open_clip.list_models())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zeros(tmp_path_factory.mktemp("weights") / "small.safetensors", shapes_of(SMALL))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


class TestPresets:
    @pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
    def test_are_what_open_clip_knows(self, preset: Any) -> None:
        place = architecture.hub_file(preset.architecture, preset.tag)
        assert place == (preset.repository, WEIGHTS_FILE)
        assert architecture.blank_card("x", preset.architecture, preset.tag).dim == preset.dim

    @pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
    def test_have_two_towers_of_the_full_models_shapes(self, preset: Any, tmp_path: Path) -> None:
        blank = architecture.blank_card("x", preset.architecture, preset.tag)
        file = write_zeros(tmp_path / "w.safetensors", shapes_of(preset.architecture))
        towers.require_fit(blank, file)

    @pytest.mark.parametrize("preset", PUBLISHED, ids=lambda preset: preset.name)
    def test_want_their_pixels_as_open_clip_says(
        self, preset: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: None)
        # Else weights are made, half a billion random numbers for some, before they are put there.
        with torch.device("meta"):
            model = open_clip.create_model(preset.architecture, preset.tag, device="meta")
        wanted = model.visual.preprocess_cfg
        blank = architecture.blank_card("x", preset.architecture, preset.tag)
        assert (blank.pixels.height, blank.pixels.width) == wanted["size"]
        assert blank.pixels.resize == wanted["resize_mode"]
        assert blank.pixels.interpolation == wanted["interpolation"]
        assert blank.pixels.fill == wanted["fill_color"]
        assert (blank.mean, blank.std) == (wanted["mean"], wanted["std"])

    def test_of_siglip2_want_squashed_pictures(self) -> None:
        blank = architecture.blank_card("x", "ViT-B-16-SigLIP2-256", "webli")
        assert blank.pixels == PixelSpec(256, 256, "squash", "bicubic", 0)
        assert blank.mean == blank.std == (0.5, 0.5, 0.5)
        assert blank.tokenizer_from == "timm/ViT-B-16-SigLIP2-256"

    def test_of_a_file_are_preprocessed_as_all_tags_agree(self) -> None:
        assert architecture.blank_card("x", "PE-Core-B-16", None).pixels.resize == "squash"
        # Its tags do not agree.
        assert architecture.blank_card("x", "ViT-L-14", None).mean == PreprocessCfg().mean

    def test_a_tag_trained_with_quick_gelu_gets_it(self) -> None:
        assert architecture.blank_card("x", "ViT-B-32", "openai").quick_gelu
        assert architecture.blank_card("x", "ViT-B-32-quickgelu", None).quick_gelu
        assert not architecture.blank_card("x", "ViT-B-32", "laion2b_s34b_b79k").quick_gelu


class TestCard:
    def test_is_read_as_it_was_written(self, models: Path, small: Path) -> None:
        added = add(models, "mine", small, SMALL)
        assert card.load(models, "mine") == added
        assert Card.from_map(json.loads(json.dumps(added.as_map()))) == added
        assert card.names(models) == ["mine"]

    def test_is_none_without_its_whole_weights(self, models: Path, small: Path) -> None:
        added = add(models, "mine", small, SMALL)
        os.truncate(added.weights, 1000)
        assert card.load(models, "mine") is None
        os.unlink(added.weights)
        assert card.load(models, "mine") is None

    @pytest.mark.parametrize("name", ["../../etc/passwd", "", ".", "a/b/c", "mine", "x" * 1000])
    def test_is_none_of_a_name_without_one(self, models: Path, name: str) -> None:
        models.mkdir()
        (models / "mine.json").write_text("{}")
        assert card.load(models, name) is None

    def test_identity_holds_all_that_decides_a_vector(self) -> None:
        builtin = card.builtin()
        assert builtin is not None
        other = [
            card.identified(builtin, "0" * 64),
            card.identified(replace(builtin, quick_gelu=True), "1" * 64),
            card.identified(replace(builtin, mean=(0.0, 0.0, 0.0)), "1" * 64),
            card.identified(replace(builtin, name="other"), "1" * 64),
            card.identified(builtin, "1" * 64),
        ]
        assert len({each.identity for each in other}) == 4
        assert other[3].identity == other[4].identity

    def test_of_builtin_is_open_clips_configuration(self) -> None:
        builtin = card.load("/nowhere", BUILTIN)
        assert builtin is not None
        blank = architecture.blank_card(BUILTIN, builtin.architecture, None)
        assert replace(builtin, weights="", sha256="", identity="") == blank
        towers.require_fit(builtin, Path(builtin.weights))

    def test_is_loaded_without_torch(self, models: Path, small: Path) -> None:
        add(models, "mine", small, SMALL)
        code = (
            "import sys; from imgqd.models import card, text; import imgqd.embedder.embedder\n"
            f"assert card.load({str(models)!r}, 'mine') and card.load({str(models)!r}, 'builtin')\n"
            "print([name for name in ('torch', 'open_clip', 'timm') if name in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ran.stdout == "[]\n", ran.stderr


class TestNames:
    def test_of_architecture_and_tag(self) -> None:
        found = source.published("ViT-B-32/laion2b_s34b_b79k", "")
        assert found.repository == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        assert source.published("ViTamin-S/datacomp1b", "").file == "pytorch_model.safetensors"
        assert source.published("PE-Core-B-16", "").tag == "meta"

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("fats", "fast"),
            ("multilinugal", "multilingual"),
            ("VIT-B-32-265", "ViT-B-32-256"),
            ("ViT-B-32-256/nope", "ViT-B-32-256/datacomp_s34b_b86k"),
            ("ViT-H-14", "ViT-H-14/laion2b_s32b_b79k"),
            (SMALL, "imgq model add"),
            ("qqqqqqqq", "imgq model list"),
            ("../x", "imgq model list"),
        ],
    )
    def test_that_nobody_knows_name_the_nearest(self, models: Path, name: str, hint: str) -> None:
        with pytest.raises(UsageError) as said:
            source.published(name, models)
        assert hint in said.value.hint

    def test_are_known_without_torch(self, models: Path) -> None:
        """Whoever mistypes one does not wait for it to load."""
        code = (
            "import sys; from imgq.errors import UsageError; import imgqd.settings_file as settings\n"
            "settings.require_model('better', sys.argv[1])\n"
            "try: settings.require_model('ViT-B-32-265', sys.argv[1])\n"
            "except UsageError as error: print(error.hint)\n"
            "print([name for name in ('torch', 'open_clip', 'timm') if name in sys.modules])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(models)], capture_output=True, text=True
        )
        near, loaded = ran.stdout.splitlines()
        assert "ViT-B-32-256" in near
        assert loaded == "[]"
        assert source._architectures() == ARCHITECTURES

    def test_of_added_models_whose_weights_are_gone(self, models: Path, small: Path) -> None:
        os.unlink(add(models, "holiday", small, SMALL).weights)
        with pytest.raises(ModelMissing, match="the weights of holiday are no longer on disk"):
            source.published("holiday", models)

    def test_of_added_models_are_near_too(self, models: Path, small: Path) -> None:
        add(models, "holiday", small, SMALL)
        with pytest.raises(UsageError, match="no model 'holidya'") as said:
            source.published("holidya", models)
        assert "holiday" in said.value.hint


class TestList:
    def test_shows_presets_and_added_models(self, models: Path, small: Path) -> None:
        add(models, "mine", small, SMALL)
        held = {"models": [{"name": "mine", "dim": 384, "role": "used"}], "change": None}
        ran = run(models, "list", "--json", "--held", json.dumps(held))
        assert ran.returncode == 0, ran.stderr
        rows = {row["name"]: row for row in json.loads(ran.stdout)}
        assert set(rows) == {preset.name for preset in PRESETS} | {"mine"}
        states = {name: row["state"] for name, row in rows.items()}
        assert [name for name in states if states[name] == "ready"] == [BUILTIN, "mine"]
        assert [name for name in rows if rows[name]["in_use"]] == ["mine"]
        assert rows["fast"]["licence"] == "MIT"
        # The published file has its header more.
        assert rows["fast"]["bytes"] == 4 * 151_288_833
        assert rows["mine"]["bytes"] == os.path.getsize(small)
        assert rows["mine"]["accuracy"] is rows["mine"]["published"] is None

    def test_tells_what_each_is_held_for_and_how_far_it_is(self, models: Path) -> None:
        roles = {"builtin": "used", "fast": "coming", "best": "kept"}
        held = {
            "models": [{"name": name, "dim": 1, "role": role} for name, role in roles.items()],
            "change": {"model": "fast", "done": 3, "of": 40},
        }
        speeds.note(models.parent, "nobody", 1.0)
        ran = run(models, "list", "--json", "--held", json.dumps(held))
        rows = {row["name"]: row for row in json.loads(ran.stdout)}
        assert {name: row["role"] for name, row in rows.items() if row["role"]} == roles
        assert (rows["fast"]["done"], rows["fast"]["of"]) == (3, 40)
        assert rows["best"]["done"] is None
        assert "coming, 3 of 40" in run(models, "list", "--held", json.dumps(held)).stdout

    def test_says_where_an_accuracy_was_published(self) -> None:
        for preset in PRESETS:
            assert (preset.accuracy is None) == (preset.published is None)
            assert preset.accuracy is None or 0.5 < preset.accuracy < 1
            assert preset.languages

    def test_knows_the_fastest_that_was_seen_here(self, models: Path) -> None:
        builtin = card.builtin()
        assert builtin is not None
        models.mkdir()
        for rate in (12.345, 80.0, 3.0):
            speeds.note(models, builtin.identity, rate)
        [row] = [
            r for r in json.loads(run(models, "list", "--json").stdout) if r["name"] == BUILTIN
        ]
        assert row["pictures_per_s"] == 80.0
        (models / speeds.NAME).write_text("nonsense")
        assert speeds.read(models) == {}
        assert card.names(models) == []

    def test_is_a_table_for_people(self, models: Path) -> None:
        lines = run(models, "list").stdout.splitlines()
        assert lines[1 + len(PRESETS)] == ""
        assert next(line for line in lines if line.startswith("*")).split()[1] == "fast"
        assert "~605 MB" in lines[2]
        assert "~" not in lines[1]
        sizes = [line[lines[0].index("SIZE") :].split()[:2] for line in lines[1 : 1 + len(PRESETS)]]
        assert all(number.strip("~").isdigit() and unit == "MB" for number, unit in sizes)
