"""A library that lists in megabytes: few files, with paths about as long as the system takes at once."""

from __future__ import annotations

import os

from conftest import Home
from pictures import encoded, painted

COPIES = 280
_DEPTH, _NAME = 15, "x" * 240


def fill(home: Home) -> None:
    """Watched and settled: copies of one picture, which is black."""
    data = encoded(painted("black"), "JPEG")
    folder = os.open(home.pictures, os.O_RDONLY)
    for _ in range(_DEPTH):
        os.mkdir(_NAME, dir_fd=folder)
        below = os.open(_NAME, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    for number in range(COPIES):
        name = f"{number}.jpg"
        with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
    os.close(folder)
    home.watch()
    home.settle()
