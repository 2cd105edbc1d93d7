"""Which device and which precision: what the machine has, unless the settings say."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from imgqd import machine
from imgqd.embedder.tower import CannotLoad
from imgqd.records import PixelSpec

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Pixels in two forward passes: 16, 32 and 128 pictures of 256 x 256, more of smaller ones, where it is not
# measured how many are best. Whoever waits for a vector waits for a whole pass.
_PIXELS = {"cpu": 1 << 20, "mps": 2 << 20, "cuda": 8 << 20}
_LEAST_BATCH, _LARGEST_BATCH = 8, 128


@dataclass(frozen=True, slots=True)
class Device:
    """kind: cpu, cuda or mps; precision: f32, bf16 or fp16."""

    kind: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    def batch(self, spec: PixelSpec) -> int:
        """How many pictures of that size to embed in two passes."""
        fitting = _PIXELS[self.kind] // (spec.width * spec.height)
        return min(max(fitting, _LEAST_BATCH), _LARGEST_BATCH)


def choose(device: str, precision: str) -> Device:
    """The device in force for two settings. Raises CannotLoad where the machine has it not."""
    there = _there()
    kind = there[0] if device == "auto" else device
    if kind not in there:
        raise CannotLoad(
            f"device is set to {device}, and torch finds none here (only {', '.join(there)})"
        )
    chosen = _best_precision(kind) if precision == "auto" else precision
    if chosen not in DTYPES:
        raise CannotLoad(f"there is no precision {precision!r}, only auto, {', '.join(DTYPES)}")
    return Device(kind, chosen)


def use_cores(threads: int | None) -> None:
    """Has torch use that many threads; None is all cores that this process may use."""
    torch.set_num_threads(threads or machine.cores())


def _there() -> list[str]:
    """The kinds of device, the best first."""
    kinds = ["cpu"]
    if torch.backends.mps.is_available():
        kinds.insert(0, "mps")
    if torch.cuda.is_available():
        kinds.insert(0, "cuda")
    return kinds


def _best_precision(kind: str) -> str:
    if kind == "cuda":
        # Before this, bf16 is emulated; ROCm's cards have it.
        new_enough = torch.version.hip is not None or torch.cuda.get_device_capability() >= (8, 0)
        return "bf16" if new_enough else "fp16"
    if kind == "mps":
        return "fp16"
    return "bf16" if machine.has_bf16() else "f32"
