"""Planted in a daemon: its decoders find no seccomp in the kernel."""

from __future__ import annotations

import taken_over

from fake_embedder import FakeTexts
from imgqd.pictures.handle import Decoder

__all__ = ["FakeTexts"]

Decoder.PROGRAM = (taken_over.__file__, "decoder", "seccomp")
