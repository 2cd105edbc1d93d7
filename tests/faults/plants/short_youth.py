"""Planted in a daemon: what cannot be decoded is taken for half-written for no longer than a second."""

from __future__ import annotations

from fake_embedder import FakeTexts
from imgqd.embedder import reading

__all__ = ["FakeTexts"]

reading.YOUNG_S = 1.0
