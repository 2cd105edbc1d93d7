"""The image tower by the engine that is the fastest here: found out once, then remembered."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from imgq.errors import Failure
from imgqd import machine
from imgqd.choices import Choice, Choices, Remembered
from imgqd.embedder import trial
from imgqd.embedder.onnx import MOST_BYTES, OnnxTower, write_graph
from imgqd.embedder.tower import CannotLoad, Configuration, OutOfMemory, Tower

if TYPE_CHECKING:
    from torch import nn

    from imgqd.embedder.device import Device
    from imgqd.embedder.image import ImageTower

log = logging.getLogger(__name__)

# onnxruntime's f32 was never so many times as fast as torch's: where bf16 is, it need not be tried.
SURELY = 2.5
LONGEST_REASON = 200  # characters
# A kill may come once; what ends so again and again is worth a word.
FEW_ATTEMPTS = 2
_UNENDED = "the measurement of the engines did not end, {} times: torch is used until one does"


def open_image_tower(configuration: Configuration) -> Tower:
    """The tower by the engine that is remembered or measured as the fastest. Raises CannotLoad."""
    if configuration.engines is None:
        return _torch_tower(configuration)
    choices = choices_of(configuration)
    remembered = choices.remembered()
    if remembered.choice is not None:
        tower = _remembered(configuration, choices, remembered.choice)
        if tower is not None:
            return tower
    return _Trial(configuration, choices).tower(remembered)


def choices_of(configuration: Configuration) -> Choices:
    """Where it is remembered."""
    assert configuration.engines is not None
    card = configuration.card
    settings = [
        card.identity,
        configuration.device,
        configuration.precision,
        configuration.batch,
        configuration.threads or machine.cores(),
    ]
    return Choices(configuration.engines, card.identity.rpartition("@")[2], settings)


def _remembered(configuration: Configuration, choices: Choices, choice: Choice) -> Tower | None:
    """The tower as it was chosen; None where its engine fails now."""
    if choice.engine == "torch":
        tower = _torch_tower(configuration, choice.precision)
        tower.batch, tower.trouble = choice.batch, choice.trouble
        return tower
    try:
        return Guarded(_onnx_tower(configuration, choices, choice.batch), choices)
    except Exception as error:
        log.warning("%s failed on its graph, which is made anew: %s", choice.engine, error)
        return None


def _torch_tower(configuration: Configuration, precision: str | None = None) -> ImageTower:
    where = _where(configuration, precision)
    return _on(configuration, where, _module(configuration, where))


def _where(configuration: Configuration, precision: str | None = None) -> Device:
    from imgqd.embedder import device as devices

    devices.use_cores(configuration.threads)
    return devices.choose(configuration.device, precision or configuration.precision)


def _module(configuration: Configuration, where: Device) -> nn.Module:
    from imgqd.models import hub, towers

    hub.shut()
    with _loading(configuration, where):
        return towers.load(configuration.card, "visual")


def _on(configuration: Configuration, where: Device, module: nn.Module) -> ImageTower:
    from imgqd.embedder.image import ImageTower

    with _loading(configuration, where):
        return ImageTower(configuration.card, where, module)


@contextmanager
def _loading(configuration: Configuration, where: Device) -> Iterator[None]:
    try:
        yield
    except (Failure, OSError, RuntimeError, MemoryError) as error:
        name = configuration.card.name
        why = f"{error.message}; {error.hint}" if isinstance(error, Failure) else str(error)
        raise CannotLoad(f"{name} cannot be loaded on {where.kind}: {why}") from error


def _onnx_tower(configuration: Configuration, choices: Choices, batch: int) -> OnnxTower:
    return OnnxTower(choices.graph, batch, configuration.threads or machine.cores())


def _first_line(error: Exception) -> str:
    """torch's exporter tells the whole graph."""
    return str(error).partition("\n")[0][:LONGEST_REASON]


class _Trial:
    """Measures, and remembers what was found."""

    def __init__(self, configuration: Configuration, choices: Choices) -> None:
        self._configuration = configuration
        self._choices = choices
        self._spec = configuration.card.pixels
        self._trouble: str | None = None

    def tower(self, remembered: Remembered) -> Tower:
        """remembered: how many measurements have begun, and have not ended."""
        where = _where(self._configuration)
        module = _module(self._configuration, where)
        if not remembered.is_due:
            tower = _on(self._configuration, where, module)
            if remembered.attempts >= FEW_ATTEMPTS:
                tower.trouble = _UNENDED.format(remembered.attempts)
            return tower
        try:
            self._choices.begin(remembered.attempts)
            found = self._found(where, module)
            self._choices.keep(Choice(found.engine, found.precision, found.batch, found.trouble))
        except OSError as error:
            log.warning("the fastest engine cannot be remembered: %s", error)
            return _torch_tower(self._configuration)
        log.info("the fastest is %s in %s, by %d", found.engine, found.precision, found.batch)
        return Guarded(found, self._choices) if isinstance(found, OnnxTower) else found

    def _found(self, where: Device, module: nn.Module) -> ImageTower | OnnxTower:
        found: ImageTower | OnnxTower = _on(self._configuration, where, module)
        if where.kind == "cpu" and self._configuration.precision in ("auto", "f32"):
            found = self._fastest(where, module)
        if self._configuration.batch is None:
            # A batch is two passes: one is embedded while the other is recorded.
            found.batch = 2 * trial.best_batch(found, self._spec)
        found.trouble = self._trouble
        return found

    def _fastest(self, where: Device, module: nn.Module) -> ImageTower | OnnxTower:
        """Of torch in f32 and in bf16, and onnxruntime where it is installed."""
        plain = _on(self._configuration, replace(where, precision="f32"), copy.deepcopy(module))
        best, gain = plain, 1.0
        if where.precision == "bf16":
            small = _on(self._configuration, where, module)
            rate, other = trial.by_turns([plain, small], self._spec)
            gain = other / rate
            best = small if gain > 1 and self._agrees(plain, small) else plain
        is_there = machine.has("onnx") and machine.has("onnxruntime")
        if gain < SURELY and is_there and (graph := self._graph(plain)):
            rate, other = trial.by_turns([best, graph], self._spec)
            if other > rate and self._agrees(plain, graph):
                return graph
        return best

    def _graph(self, plain: ImageTower) -> OnnxTower | None:
        if 4 * sum(each.numel() for each in plain.whole.parameters()) > MOST_BYTES:
            return None
        try:
            write_graph(plain.whole, (self._spec.height, self._spec.width), self._choices.graph)
            return _onnx_tower(self._configuration, self._choices, plain.batch)
        except Exception as error:
            self._trouble = (
                f"onnxruntime cannot take the image tower, torch is used: {_first_line(error)}"
            )
            log.exception("onnxruntime cannot take the image tower")
            return None

    def _agrees(self, plain: Tower, other: Tower) -> bool:
        agrees = trial.agree(plain, other, self._spec)
        if not agrees:
            self._trouble = (
                f"{other.engine} in {other.precision} gives other vectors, and is not used"
            )
        return agrees


class Guarded:
    """onnxruntime's tower. Where it fails, torch is remembered in its place and the process ends with the
    error: the next one does the same batch by torch."""

    def __init__(self, tower: OnnxTower, choices: Choices) -> None:
        self._tower = tower
        self._choices = choices
        self.dim, self.device, self.precision = tower.dim, tower.device, tower.precision
        self.engine, self.batch, self.trouble = tower.engine, tower.batch, tower.trouble

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        try:
            return self._tower.embed(pixels)
        except OutOfMemory:
            raise
        except Exception as error:
            trouble = f"onnxruntime failed, torch is used in its place: {_first_line(error)}"
            self._choices.keep(Choice("torch", self.precision, self.batch, trouble))
            raise
