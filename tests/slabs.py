"""Shared memory as a decoder has it, for the tests of what reads it."""

from __future__ import annotations

import mmap
import os

import numpy as np

from imgqd.records import PixelSpec


class Slab:
    """Shared memory as a decoder has it. pixels: uint8 (slots, height, width, 3)."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.descriptor = os.memfd_create("slab")
        os.ftruncate(self.descriptor, pixels.nbytes)
        memory = mmap.mmap(self.descriptor, pixels.nbytes)
        self.pixels = np.frombuffer(memory, np.uint8).reshape(pixels.shape)
        self.pixels[:] = pixels

    def all(self, key: int) -> list[tuple[int, int]]:
        return [(key, slot) for slot in range(len(self.pixels))]


def noise(spec: PixelSpec, count: int) -> np.ndarray:
    """uint8 (count, height, width, 3), the same for the same count."""
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, spec.height, spec.width, 3), dtype=np.uint8)
