"""Planted in a daemon: its decoders do not start, until the file `allowed` lies beside its home."""

from __future__ import annotations

import os
from pathlib import Path

from fake_embedder import FakeTexts
from imgqd.pictures.handle import Decoder

__all__ = ["FakeTexts"]

ALLOWED = Path(os.environ["IMGQ_HOME"]).parent / "allowed"
PROGRAM = f"""
import os, runpy, sys
if not os.path.exists({str(ALLOWED)!r}):
    sys.exit("forbidden on purpose")
runpy.run_module({Decoder.PROGRAM[1]!r}, run_name="__main__")
"""
Decoder.PROGRAM = ("-c", PROGRAM)
