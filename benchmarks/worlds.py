"""Embeddings out of a stated generator, with the shape that CLIP's have.

A picture is a common direction, plus a topic, plus what is its own; topics have sizes by Zipf's law. Topics
and what is a picture's own vary along all directions, but by far not evenly: the variance along the
n-th falls as 1 / (n + 4), so that at 512 dimensions 128 of them hold four fifths of it.

Texts lie apart from pictures, beyond a gap of one direction, and vary less along the directions of
pictures and more along all others. Two pictures have a mean cosine of .51, a text and a picture one of .18,
and a text and its ten nearest of 200,000 pictures one of .35.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

TOPICS = 2000
_AT_ONCE = 20_000


class World:
    """Makes vectors, float32 (n, dim), unit norm; the same ones for the same seed."""

    def __init__(self, dim: int = 512, seed: int = 1) -> None:
        self.dim = dim
        self._dice = np.random.default_rng(seed)
        spread = 1 / np.sqrt(np.arange(dim) + 4.0)
        turned = np.linalg.qr(self._dice.standard_normal((dim, dim)))[0]
        self._spread = ((spread / np.linalg.norm(spread))[:, None] * turned).astype(np.float32)
        self._common, self._gap = unit(self._dice.standard_normal((2, dim)))
        self._topics = self._varied(TOPICS)
        sizes = 1 / np.arange(1, TOPICS + 1)
        self._sizes = sizes / sizes.sum()

    def pictures(self, count: int) -> Vectors:
        made = np.empty((count, self.dim), np.float32)
        for start in range(0, count, _AT_ONCE):
            some = made[start : start + _AT_ONCE]
            some[:] = unit(self._common + self._meant(len(some)))
        return made

    def texts(self, count: int) -> Vectors:
        """What could be asked for: each is about a topic."""
        apart = 0.14 * self._common + 0.8 * self._gap
        return unit(apart + 0.3 * self._meant(count) + 0.4 * unit(self._even(count)))

    def likes(self, pictures: Vectors, count: int) -> Vectors:
        """Queries by pictures that are like some of these: with a cosine of .95."""
        some = self._dice.choice(len(pictures), count)
        return unit(pictures[some] + 0.32 * unit(self._even(count)))

    def _meant(self, count: int) -> Vectors:
        topics = self._dice.choice(TOPICS, count, p=self._sizes)
        meant: Vectors = (self._topics[topics] + self._varied(count)) * np.float32(0.5**0.5)
        return meant

    def _varied(self, count: int) -> Vectors:
        varied: Vectors = self._even(count) @ self._spread
        return varied

    def _even(self, count: int) -> Vectors:
        return self._dice.standard_normal((count, self.dim), dtype=np.float32)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Vectors = (vectors / lengths).astype(np.float32)
    return found
