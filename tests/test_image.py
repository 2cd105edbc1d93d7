"""The image tower in its own process, and the device it is on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from imgqd import machine
from imgqd.embedder import device
from imgqd.embedder.device import Device
from imgqd.embedder.embedder import Embedder, EmbedderFailed
from imgqd.embedder.tower import CannotLoad, Configuration
from imgqd.models import card
from imgqd.models.card import Card
from imgqd.records import PixelSpec
from slabs import Slab, noise


class TestDevice:
    def test_is_what_there_is(self) -> None:
        assert device.choose("cpu", "fp16") == device.Device("cpu", "fp16")
        if device.choose("auto", "auto").kind == "cpu":
            with pytest.raises(
                CannotLoad, match=r"set to cuda, and torch finds none here \(only cpu"
            ):
                device.choose("cuda", "auto")

    @pytest.mark.parametrize(
        ("flags", "precision"),
        [
            ("avx2 avx512f avx512_bf16", "bf16"),
            ("avx2 amx_bf16 amx_tile", "bf16"),
            ("avx2 avx512f", "f32"),
            ("asimd i8mm bf16", "bf16"),
        ],
    )
    def test_of_a_cpu_takes_bf16_where_it_multiplies_it(
        self, flags: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
        monkeypatch.setattr(machine, "_CPUINFO", cpuinfo)
        assert device.choose("cpu", "auto").precision == precision

    def test_takes_more_of_smaller_pictures(self) -> None:
        cpu, cuda = Device("cpu", "f32"), Device("cuda", "bf16")
        assert [cpu.batch(PixelSpec(side, side)) for side in (64, 256, 512)] == [128, 16, 8]
        assert cuda.batch(PixelSpec(256, 256)) == 128

    def test_of_a_cpu_is_all_its_cores_whatever_the_daemon_pins(self) -> None:
        code = (
            "import torch; from imgqd.embedder.device import use_cores\n"
            "use_cores(None); print(torch.get_num_threads())\n"
            "use_cores(1); print(torch.get_num_threads())"
        )
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert ran.stdout.split() == [str(len(os.sched_getaffinity(0))), "1"], ran.stderr


class TestRealTower:
    """With torch, in its own process: the builtin model."""

    @pytest.fixture
    def builtin(self) -> Card:
        found = card.builtin()
        assert found is not None
        return found

    @pytest.mark.parametrize("precision", ["f32", "bf16"])
    def test_embeds_as_open_clip_does(self, builtin: Card, precision: str) -> None:
        slab = Slab(noise(builtin.pixels, 5))
        slab.pixels[1] = 255 - slab.pixels[1] // 4
        slab.pixels[2] = (200, 30, 20)
        with Embedder(Configuration(builtin, "cpu", precision, batch=2)) as embedder:
            ready = embedder.ready()
            assert (ready.device, ready.precision) == ("cpu", precision)
            embedder.attach(0, slab.descriptor, 5)
            found = embedder.embed(slab.all(0))
        model = open_clip.create_model(builtin.architecture, builtin.weights).eval()
        config = open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg)
        preprocess = open_clip.transform.image_transform_v2(config, is_train=False)
        seen = torch.stack([preprocess(Image.fromarray(each)) for each in slab.pixels])
        with torch.inference_mode():
            wanted = model.encode_image(seen, normalize=True).numpy()
        got = np.stack([vector for vector in found if vector is not None])
        assert (got * wanted).sum(axis=1).min() >= 0.999
        if precision == "f32":
            np.testing.assert_allclose(got, wanted, atol=2e-5)

    def test_that_cannot_be_loaded_says_why(self, builtin: Card, tmp_path: Path) -> None:
        lost = replace(builtin, weights=str(tmp_path / "nothing.safetensors"))
        for configuration, words in [
            (Configuration(lost, "cpu"), "nothing.safetensors"),
            (Configuration(builtin, "cpu", "f64"), "there is no precision 'f64'"),
        ]:
            with Embedder(configuration) as embedder, pytest.raises(EmbedderFailed, match=words):
                embedder.ready()
