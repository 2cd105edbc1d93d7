"""Which of several towers is the fastest, and with how many pictures at a time: measured in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from imgqd.embedder.tower import OutOfMemory, Tower
from imgqd.records import PixelSpec

# A forward pass of the slowest tower takes about so long, in so many rounds by turns: what else the machine
# does meanwhile falls on all alike, and the best round of each tells.
PASS_S = 0.4
ROUNDS = 2
MOST_PICTURES = 8
# No more sizes of a batch are tried after so long, or than this; a larger one must gain so much.
BATCHES_S = 1.0
LARGEST_BATCH = 512
GAIN = 1.04
# The same vectors: no cosine to torch's f32 is lower.
LEAST_COSINE = 0.999


def by_turns(towers: Sequence[Tower], spec: PixelSpec) -> list[float]:
    """Pictures a second of each tower; all do the same ones."""
    pixels = _pictures(spec, _count(towers[0], spec))
    for tower in towers:
        tower.embed(pixels)
    best = [
        min(times) for times in zip(*(_round(towers, pixels) for _ in range(ROUNDS)), strict=True)
    ]
    return [len(pixels) / seconds for seconds in best]


def agree(one: Tower, other: Tower, spec: PixelSpec) -> bool:
    """Whether both give the same vectors."""
    pixels = _pictures(spec, 4)
    cosines = (one.embed(pixels) * other.embed(pixels)).sum(axis=1)
    return bool((cosines > LEAST_COSINE).all())


def best_batch(tower: Tower, spec: PixelSpec) -> int:
    """How many pictures a pass: from half of the batch that the tower would take, twice as many as long as
    that gains and fits into memory."""
    end = time.monotonic() + BATCHES_S
    batch = max(tower.batch // 2, 1)
    rate = _rate(tower, spec, batch)
    while time.monotonic() < end and 2 * batch <= LARGEST_BATCH:
        larger = _rate(tower, spec, 2 * batch)
        if larger <= rate * GAIN:
            break
        batch, rate = 2 * batch, larger
    return batch


def _rate(tower: Tower, spec: PixelSpec, batch: int) -> float:
    """Pictures a second, 0 where memory does not do; the second pass counts."""
    pixels = _pictures(spec, batch)
    try:
        tower.embed(pixels)
        return batch / _timed(lambda: tower.embed(pixels))
    except OutOfMemory:
        return 0.0


def _count(tower: Tower, spec: PixelSpec) -> int:
    one = _pictures(spec, 1)
    tower.embed(one)
    seconds = _timed(lambda: tower.embed(one))
    return min(max(int(PASS_S / seconds), 1), MOST_PICTURES)


def _round(towers: Sequence[Tower], pixels: np.ndarray) -> list[float]:
    return [_timed(lambda tower=tower: tower.embed(pixels)) for tower in towers]  # type: ignore[misc]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _pictures(spec: PixelSpec, count: int) -> np.ndarray:
    """uint8 (count, height, width, 3): noise over a ramp, another for each."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 128, (count, spec.height, spec.width, 3), dtype=np.uint8)
    ramp = np.linspace(0, 127, spec.width).astype(np.uint8)[None, None, :, None]
    tint = random.integers(0, 2, (count, 1, 1, 3), dtype=np.uint8)
    found: np.ndarray = noise + ramp * tint
    return found
