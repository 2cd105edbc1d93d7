"""What an index must hold: a walk and a hash of each file, which share nothing with the daemon's.

The rules are those that `imgq` documents for what counts; of picture formats it knows those that the
tests make.
"""

from __future__ import annotations

import base64
import io
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from PIL import Image

import fake_embedder
from conftest import Home, looks

_NAMES = {
    b"@eaDir", b"#snapshot", b"#recycle", b"@Recycle", b".@__thumb", b"$RECYCLE.BIN", b"lost+found",
    b"System Volume Information", b"node_modules",
}  # fmt: skip
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_EXTENSIONS = (b".png", b".jpg", b".jpeg", b".gif")
_MOST_SHOWN = 20
# Of two vectors' numbers: colors are whole numbers, and their vectors not so near.
_CLOSE = 1e-4

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Truth:
    """pictures: the hash of every picture by its path. broken: files that pass for one and are none.

    colors: red, green and blue of each picture's first pixel, by its hash.
    """

    pictures: dict[bytes, str]
    broken: frozenset[bytes]
    colors: dict[str, Color]


def truth(*roots: Path) -> Truth:
    """Of folders in which nothing changes meanwhile."""
    pictures: dict[bytes, str] = {}
    broken: set[bytes] = set()
    colors: dict[str, Color] = {}
    for root in roots:
        for path, data in _files(os.open(root, os.O_RDONLY), os.fsencode(root)):
            hash = f"xxh3:{xxhash.xxh3_128_hexdigest(data)}"
            if color := _color(data):
                pictures[path], colors[hash] = hash, color
            elif data.startswith(_SIGNATURES) or path.lower().endswith(_EXTENSIONS):
                broken.add(path)
    return Truth(pictures, frozenset(broken), colors)


def files(root: Path) -> int:
    """How many regular files there are that no rule leaves out."""
    return sum(1 for _ in _files(os.open(root, os.O_RDONLY), os.fsencode(root)))


def listed(home: Home) -> list[dict[str, Any]]:
    """What `imgq files --json` says, with `path` in true bytes."""
    return [{**file, "path": path_of(file)} for file in home.json("files")]


def path_of(answer: dict[str, Any]) -> bytes:
    """The path of a JSON answer in true bytes."""
    if "path_bytes" in answer:
        return base64.b64decode(answer["path_bytes"])
    return str(answer["path"]).encode()


def difference(home: Home, expected: Truth) -> list[str]:
    """Where the index is not the truth, a line each; empty where it is."""
    files = listed(home)
    times = Counter(file["path"] for file in files)
    known = {file["path"]: file["hash"] for file in files}
    return [
        *(f"twice    {_shown(path)}" for path, count in times.items() if count > 1),
        *(f"offline  {_shown(file['path'])}" for file in files if file["offline"]),
        *(f"missing  {_shown(path)}" for path in expected.pictures.keys() - known.keys()),
        *(f"not so   {_shown(path)}" for path in known.keys() - expected.pictures.keys()),
        *(
            f"stale    {_shown(path)}"
            for path in known.keys() & expected.pictures.keys()
            if known[path] != expected.pictures[path]
        ),
    ]


def misjudged(home: Home, expected: Truth) -> list[str]:
    """Where the ledger of errors is not the truth, a line each."""
    errors = {path_of(error) for error in home.json("errors")}
    return [
        *(f"no error {_shown(path)}" for path in expected.broken - errors),
        *(f"an error {_shown(path)}" for path in errors - expected.broken),
    ]


def misembedded(home: Home, expected: Truth) -> list[str]:
    """Pictures of one color whose vector is not that color's, by the fake embedder, a line each."""
    target = home.folder / "export.npz"
    done = home.imgq("export", "--npz", str(target))
    assert done.returncode == 0, done.stderr.decode()
    with np.load(target) as index:
        hashes, found = list(index["hashes"]), index["vectors"]
    if not hashes:
        return []
    colors = np.array([expected.colors[hash] for hash in hashes], np.float32)
    right = fake_embedder.vectors(
        colors[:, None, None, :].repeat(8, 1).repeat(8, 2), found.shape[1]
    )
    far = np.abs(found - right).max(axis=1) > _CLOSE
    return [f"not its vector {hash}" for hash, is_far in zip(hashes, far, strict=True) if is_far]


def agreement(home: Home, expected: Truth, within: float) -> list[str]:
    """Asks until the index is the truth; after so many seconds, the difference that is left.

    Of a file that is no picture any more the last one may be kept: it is waited for, for 10 s, whether
    somebody still writes to it.
    """
    broken = {f"not so   {_shown(path)}" for path in expected.broken}
    found = list[str]()
    for _ in looks(within, 0.1):
        found = [line for line in difference(home, expected) if line not in broken]
        if not found:
            break
    return found


def words(lines: list[str]) -> str:
    """A difference to be read."""
    left = len(lines) - _MOST_SHOWN
    return "\n".join(sorted(lines)[:_MOST_SHOWN]) + (f"\nand {left} more" if left > 0 else "")


def agree(home: Home, *roots: Path, within: float = 10.0) -> Truth:
    """Asks nobody to wait: so soon after the last change the index is the truth by itself."""
    expected = truth(*roots)
    found = agreement(home, expected, within)
    assert not found, f"{words(found)}\n{home.log}"
    return expected


def check(home: Home, *roots: Path, patience: float = 60.0) -> Truth:
    """Waits as a person would; then the index and the ledger are the truth at once."""
    end = time.monotonic() + patience
    while home.imgq("wait", "--timeout", "30").returncode:
        assert time.monotonic() < end, f"not settled: {home.json('status')}\n{home.log}"
    expected = truth(*roots)
    found = difference(home, expected) + misjudged(home, expected)
    assert not found, f"{words(found)}\n{home.log}"
    return expected


def _files(folder: int, path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Path and bytes of each regular file under an open folder, however long its path; closes it."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        for name in names:
            if name.startswith(b".") or name in _NAMES or name.endswith(b".lrdata"):
                continue
            descriptor = _opened(name, folder)
            if descriptor is None:
                continue
            below = os.path.join(path, name)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                yield from _files(descriptor, below)
                continue
            with open(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    yield below, file.read()
    finally:
        os.close(folder)


def _opened(name: bytes, folder: int) -> int | None:
    """None for a link, and what has nothing to read."""
    mode = os.lstat(name, dir_fd=folder).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return None
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)


@lru_cache(100_000)
def _color(data: bytes) -> Color | None:
    """Of the first pixel, by Pillow alone; None where it makes no picture of the bytes."""
    if not data.startswith(_SIGNATURES):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            red, green, blue = image.convert("RGB").getpixel((0, 0))
    except (OSError, SyntaxError, ValueError):
        return None
    return red, green, blue


def _shown(path: bytes) -> str:
    return ascii(os.fsdecode(path)[-200:])
