"""A running daemon on a small library, for a whole module of tests that change nothing in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import fake_embedder
from conftest import Home, watching
from pictures import jpeg, notes, painted, write

NEWLINE = "new\nline.jpg"
ESCAPE = "\x1b[31mred alert\x07.jpg"
LARGE = "large.png"
NO_TEXT = b"caf\xe9.jpg"

# The file systems of macOS want names in UTF-8.
TAKES_ANY_NAME = sys.platform != "darwin"


@contextmanager
def library(folder: Path) -> Iterator[Home]:
    # As in any locale but C's, in which Python lets names through that are no text.
    with watching(
        folder, fill, settings="max_megapixels = 1\n", PYTHONIOENCODING="utf-8:strict"
    ) as home:
        yield home


def fill(folder: Path) -> None:
    """Plain colors, a camera's picture, copies, one too large, a note, and names that bite."""
    for color in ("red", "green", "blue"):
        jpeg(folder / f"{color}.jpg", rgb(color))
    jpeg(folder / "sub" / "yellow.jpg", rgb("yellow"))
    (folder / "sub" / "again.jpg").write_bytes((folder / "sub" / "yellow.jpg").read_bytes())
    exif = notes(make="Canon", model="EOS 5D", taken=datetime(2025, 3, 1, 9, 58), place=(52.1, 4.3))
    write(folder / "camera.png", painted(rgb("brown"), (40, 30)), exif=exif)
    jpeg(folder / NEWLINE, rgb("orange"))
    jpeg(folder / ESCAPE, rgb("pink"))
    # Half a picture would be waited for; one that is too large is refused at once.
    write(folder / LARGE, painted("black", (1200, 1000)))
    (folder / "note.txt").write_text("a note")
    if TAKES_ANY_NAME:
        jpeg(folder / os.fsdecode(NO_TEXT), rgb("purple"))


def rgb(color: str) -> str:
    """Just the color that the fake embedder takes the word for."""
    return f"rgb{fake_embedder.COLORS[color]}"
