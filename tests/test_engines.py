"""Which engine the image tower gets: measured once, remembered, and left where it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from imgqd import choices, machine
from imgqd.choices import Choice
from imgqd.embedder import engines, trial
from imgqd.embedder.device import Device
from imgqd.embedder.engines import Guarded, choices_of, open_image_tower
from imgqd.embedder.image import ImageTower
from imgqd.embedder.onnx import OnnxTower, write_graph
from imgqd.embedder.tower import Configuration, OutOfMemory, Ready
from imgqd.health.troubles import _of_the_model
from imgqd.models import card, towers
from imgqd.records import PixelSpec
from test_towers import CONVOLUTIONS, CUSTOM, PLAIN, build, cosines, pictures

SPEC = PixelSpec(8, 8)


class Clock:
    """Goes on by what towers are told to take, and by nothing else."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


CLOCK = Clock()


class Paced:
    """A tower that takes so many seconds for a picture and for a pass, and no more than `most` pictures."""

    device, precision, engine, dim = "cpu", "f32", "torch", 4

    def __init__(self, picture: float, once: float = 0.0, batch: int = 8, most: int = 999) -> None:
        self._picture, self._once, self._most = picture, once, most
        self.batch = batch
        self.trouble: str | None = None

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > self._most:
            raise OutOfMemory
        CLOCK.now += self._once + self._picture * len(pixels)
        return np.full((len(pixels), self.dim), 0.5, np.float32)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    builtin = card.builtin()
    assert builtin is not None
    return Configuration(builtin, device="cpu", engines=str(tmp_path / "engines"))


@pytest.fixture(scope="module")
def builtins_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is kept once the first test has had it written."""
    return tmp_path_factory.mktemp("graph") / "builtin.onnx"


@pytest.fixture
def prefer(builtins_graph: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Has one engine and precision be the fastest, whatever the machine."""

    def written_once(whole: Any, side: tuple[int, int], place: Path) -> None:
        if not builtins_graph.exists():
            write_graph(whole, side, builtins_graph)
        shutil.copyfile(builtins_graph, place)

    def choose(engine: str, precision: str) -> None:
        def by_turns(each: list[ImageTower], _: PixelSpec) -> list[float]:
            best = (engine, precision)
            return [1.0 + ((tower.engine, tower.precision) == best) for tower in each]

        monkeypatch.setattr(trial, "by_turns", by_turns)
        monkeypatch.setattr(trial, "best_batch", lambda *_: 7)
        monkeypatch.setattr(machine, "has_bf16", lambda: True)
        monkeypatch.setattr(engines, "write_graph", written_once)

    return choose


def vectors(tower: ImageTower | OnnxTower | Guarded, configuration: Configuration) -> np.ndarray:
    return tower.embed(pictures(configuration.card)[:2])


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "time", CLOCK)


@pytest.mark.usefixtures("paced")
class TestTrial:
    def test_finds_the_faster_by_turns(self) -> None:
        slow, quick = Paced(0.02), Paced(0.002)
        first, second = trial.by_turns([slow, quick], SPEC)
        assert (round(first), round(second)) == (50, 500)

    def test_takes_the_batch_that_gains(self) -> None:
        assert trial.best_batch(Paced(0.0, once=0.01, most=40), SPEC) == 32
        assert trial.best_batch(Paced(0.01), SPEC) == 4
        # Where not even the first fits, memory errors make it smaller while it works.
        assert trial.best_batch(Paced(0.001, most=1), SPEC) == 4

    def test_tells_other_vectors(self) -> None:
        class Other(Paced):
            def embed(self, pixels: np.ndarray) -> np.ndarray:
                found = super().embed(pixels)
                found[-1] = (1, 0, 0, 0)
                return found

        assert trial.agree(Paced(0), Paced(0), SPEC)
        assert not trial.agree(Paced(0), Other(0), SPEC)


class TestGraph:
    @pytest.mark.parametrize("name", [PLAIN, CONVOLUTIONS, CUSTOM])
    def test_gives_the_vectors_of_torch(self, name: str, tmp_path: Path) -> None:
        made = build(name, tmp_path)[0]
        plain = ImageTower(made, Device("cpu", "f32"), towers.load(made, "visual"))
        place = tmp_path / "graph.onnx"
        write_graph(plain.whole, (made.pixels.height, made.pixels.width), place)
        found = OnnxTower(place, batch=4, threads=2)
        assert found.dim == made.dim
        pixels = pictures(made)
        for count in (4, 1, 3):
            got = found.embed(pixels[:count])
            assert got.dtype == np.float32
            assert cosines(got, plain.embed(pixels[:count])).min() > 0.9999
        assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-6
        assert sorted(tmp_path.glob("*onnx*")) == [place]
        assert torch.backends.mha.get_fastpath_enabled()


class TestEngines:
    @pytest.mark.parametrize(
        ("engine", "precision"), [("torch", "f32"), ("torch", "bf16"), ("onnxruntime", "f32")]
    )
    def test_the_fastest_is_taken_and_remembered(
        self,
        configuration: Configuration,
        prefer: Callable[[str, str], None],
        monkeypatch: pytest.MonkeyPatch,
        engine: str,
        precision: str,
    ) -> None:
        prefer(engine, precision)
        found = open_image_tower(configuration)
        assert (found.engine, found.precision, found.batch) == (engine, precision, 14)
        assert found.trouble is None
        graph = choices_of(configuration).graph
        assert graph.exists() == (engine == "onnxruntime")
        # From now on nothing is measured, and the graph is not made again.
        monkeypatch.delattr(trial, "by_turns")
        again = open_image_tower(configuration)
        assert (again.engine, again.precision, again.batch) == (engine, precision, 14)
        wanted = vectors(_plain(configuration), configuration)
        assert cosines(vectors(again, configuration), wanted).min() > 0.999

    def test_a_precision_that_is_set_is_kept_to(
        self, configuration: Configuration, prefer: Callable[[str, str], None]
    ) -> None:
        prefer("onnxruntime", "f32")
        assert open_image_tower(replace(configuration, precision="bf16")).engine == "torch"
        assert open_image_tower(replace(configuration, precision="f32")).engine == "onnxruntime"
        prefer("torch", "bf16")
        assert open_image_tower(replace(configuration, precision="f32", batch=3)).precision == "f32"

    def test_another_machine_or_library_is_measured_anew(
        self,
        configuration: Configuration,
        prefer: Callable[[str, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        prefer("torch", "bf16")
        open_image_tower(configuration)
        prefer("torch", "f32")
        assert open_image_tower(configuration).precision == "bf16"
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
        assert open_image_tower(configuration).precision == "f32"

    def test_a_graph_that_is_damaged_is_made_anew(
        self, configuration: Configuration, prefer: Callable[[str, str], None]
    ) -> None:
        prefer("onnxruntime", "f32")
        open_image_tower(configuration)
        graph = choices_of(configuration).graph
        sound = graph.read_bytes()
        middle = len(sound) // 2
        flipped = sound[:middle] + bytes([sound[middle] ^ 64]) + sound[middle + 1 :]
        for damaged in (b"", sound[:middle], b"\0" * len(sound), flipped):
            graph.write_bytes(damaged)
            assert open_image_tower(configuration).engine == "onnxruntime"
            assert graph.read_bytes() == sound

    def test_an_engine_that_cannot_take_the_tower_is_told_of(
        self,
        configuration: Configuration,
        prefer: Callable[[str, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        prefer("onnxruntime", "f32")

        def fail(*_: object) -> None:
            raise RuntimeError("no such operator\nof a graph" + "\n of many lines" * 10000)

        monkeypatch.setattr(engines, "write_graph", fail)
        for _ in range(2):
            found = open_image_tower(configuration)
            assert found.engine == "torch"
            assert found.trouble is not None
            assert found.trouble.endswith("no such operator")

    def test_an_engine_with_other_vectors_is_not_used(
        self,
        configuration: Configuration,
        prefer: Callable[[str, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        prefer("onnxruntime", "f32")
        monkeypatch.setattr(trial, "agree", lambda *_: False)
        found = open_image_tower(configuration)
        assert found.engine == "torch"
        assert "other vectors" in str(found.trouble)
        assert not choices_of(configuration).graph.exists()

    def test_an_engine_that_fails_at_work_is_replaced_by_the_next_process(
        self, configuration: Configuration, prefer: Callable[[str, str], None]
    ) -> None:
        prefer("onnxruntime", "f32")
        found = open_image_tower(configuration)
        with pytest.raises(Exception, match="Unexpected input"):
            found.embed(np.zeros((1, 2, 2, 3), np.float32))
        successor = open_image_tower(configuration)
        assert (successor.engine, successor.precision) == ("torch", "f32")
        assert "onnxruntime failed" in str(successor.trouble)

    def test_a_measurement_that_did_not_end_is_begun_again_ever_more_seldom(
        self, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is killed once is not slow for good, and whoever is killed often has work done."""

        class Killed(BaseException):
            pass

        def die(*_: object) -> None:
            raise Killed

        now = 1.8e9
        monkeypatch.setattr(choices.time, "time", lambda: now)
        with monkeypatch.context() as patch:
            patch.setattr(trial, "best_batch", die)
            for pause in (*choices.PAUSES_S, choices.PAUSES_S[-1]):
                with pytest.raises(Killed):
                    open_image_tower(configuration)
                now += pause - 1
                found = open_image_tower(configuration)
                assert found.engine == "torch"
                now += 2
        assert "did not end, 4 times" in str(found.trouble)
        assert open_image_tower(configuration).trouble is None

    def test_a_kill_amid_a_measurement_is_no_trouble(self, configuration: Configuration) -> None:
        choices_of(configuration).begin(0)
        assert open_image_tower(configuration).trouble is None
        # Nor does a clock that is set back have it wait for years.
        choices_of(configuration).begin(1)
        assert not choices_of(configuration).remembered().is_due
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choices.time, "time", lambda: 1e9)
            assert choices_of(configuration).remembered().is_due

    def test_a_folder_that_cannot_be_written_costs_nothing_but_speed(
        self, configuration: Configuration, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        found = open_image_tower(replace(configuration, engines=str(tmp_path / "file" / "engines")))
        assert found.engine == "torch"


def test_status_says_why_it_is_not_the_fastest() -> None:
    ready = Ready("cpu", "f32", 8, "torch", "onnxruntime failed: no such operator")
    daemon: Any = SimpleNamespace(
        spaces=SimpleNamespace(used=SimpleNamespace(texts=SimpleNamespace(trouble=None))),
        changing=SimpleNamespace(trouble=None),
        pipeline=SimpleNamespace(batches=SimpleNamespace(trouble=None, ready=ready)),
    )
    (trouble,) = _of_the_model(daemon)
    assert trouble.code == "engine"
    assert "no such operator" in trouble.message


class TestChoices:
    def test_what_cannot_be_read_counts_as_none(self, configuration: Configuration) -> None:
        held = choices_of(configuration)
        held.begin(0)
        held.keep(Choice("torch", "f32", 4))
        assert held.remembered().choice == Choice("torch", "f32", 4)
        (file,) = Path(str(configuration.engines)).glob("*.json")
        content = json.loads(file.read_bytes())
        for damaged in ("", "[]", "{}", json.dumps(content | {"choice": {"engine": "torch"}})):
            file.write_text(damaged)
            assert held.remembered().choice is None


def _plain(configuration: Configuration) -> ImageTower:
    made = configuration.card
    return ImageTower(made, Device("cpu", "f32"), towers.load(made, "visual"))
