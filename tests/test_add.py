"""`imgq model add`: files of weights that a person brings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from imgq.errors import Refused, UsageError
from imgqd.models import card
from imgqd.models.add import add
from imgqd.models.presets import BUILTIN
from made_weights import FAST, SMALL, run, shapes_of, write_zeros


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zeros(tmp_path_factory.mktemp("weights") / "small.safetensors", shapes_of(SMALL))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


class TestAdd:
    def test_copies_the_file_for_its_owner_alone(self, models: Path, small: Path) -> None:
        added = add(models, SMALL, small)
        assert added.architecture == SMALL
        assert Path(added.weights).read_bytes() == small.read_bytes()
        assert Path(added.weights).stat().st_mode & 0o777 == 0o600
        assert models.stat().st_mode & 0o777 == 0o700

    def test_of_the_same_name_takes_the_place_of_the_first(self, models: Path, small: Path) -> None:
        first = add(models, "mine", small, SMALL)
        other = models.parent / "other.safetensors"
        shutil.copyfile(small, other)
        with open(other, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")
        second = add(models, "mine", other, SMALL)
        assert first.identity != second.identity
        assert sorted(each.name for each in models.iterdir()) == [
            Path(second.weights).name,
            "mine.json",
        ]

    def test_again_changes_nothing(self, models: Path, small: Path) -> None:
        assert add(models, "mine", small, SMALL) == add(models, "mine", small, SMALL)
        assert card.load(models, "mine") is not None

    def test_refuses_a_pickle_and_says_how_to_convert_it(self, models: Path) -> None:
        file = models.parent / "open_clip_pytorch_model.bin"
        torch.save({"visual.conv1.weight": torch.zeros(3)}, file)
        ran = run(models, "add", "fast", "--weights", file)
        assert ran.returncode == 4
        message, hint = ran.stderr.splitlines()
        assert message.startswith("imgq: ")
        assert "pickle" in message
        assert f'create_model("{FAST.architecture}", pretrained="{file}")' in hint
        assert not models.exists()

    def test_refuses_a_pickle_by_any_name(self, models: Path) -> None:
        file = models.parent / "weights.safetensors"
        torch.save({"visual.conv1.weight": torch.zeros(3)}, file)
        with pytest.raises(Refused, match="is a pickle"):
            add(models, "fast", file)

    def test_refuses_weights_of_another_architecture(self, models: Path, small: Path) -> None:
        with pytest.raises(Refused, match=r"does not fit ViT-B-32-256: \d+ of another shape \("):
            add(models, "fast", small)
        assert not models.exists()

    def test_refuses_tensors_that_no_tower_has(self, models: Path, tmp_path: Path) -> None:
        shapes = shapes_of(SMALL)
        for extra in ("visual.transformer.more", "transformer.more"):
            file = write_zeros(tmp_path / "w.safetensors", shapes | {extra: (2, 2)})
            with pytest.raises(Refused, match="1 unknown"):
                add(models, "mine", file, SMALL)

    @pytest.mark.parametrize("content", [b"", b"hello, world", b"\xff" * 4096])
    def test_refuses_what_is_no_safetensors(self, models: Path, content: bytes) -> None:
        file = models.parent / "w.safetensors"
        file.write_bytes(content)
        with pytest.raises(Refused, match="no sound safetensors file"):
            add(models, "fast", file)

    def test_refuses_a_file_that_ends_early(self, models: Path, small: Path) -> None:
        file = models.parent / "w.safetensors"
        file.write_bytes(small.read_bytes()[:-1])
        with pytest.raises(Refused, match="no sound safetensors file"):
            add(models, SMALL, file)

    @pytest.mark.parametrize(
        ("name", "architecture"),
        [
            ("mine", None),
            ("mine", "ViT-S-23-alt"),
            ("mine", "ViT-B-32/nope"),
            ("../mine", SMALL),
            ("fast", SMALL),
            (BUILTIN, None),
        ],
    )
    def test_refuses_names(
        self, models: Path, small: Path, name: str, architecture: str | None
    ) -> None:
        with pytest.raises(UsageError):
            add(models, name, small, architecture)

    def test_of_a_missing_file_says_so(self, models: Path) -> None:
        ran = run(models, "add", "fast", "--weights", "/no/such/file.safetensors")
        assert ran.returncode == 2
        assert "/no/such/file.safetensors" in ran.stderr
