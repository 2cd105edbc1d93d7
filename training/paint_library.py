"""Paints the sample library of `imgq demo` after library.txt: python -m training.paint_library"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from training import colours, rasterise
from training.prepare import Draw
from training.scenery import KINDS, Kind, paint
from training.things import Thing, read_things

LIBRARY = Path(__file__).parents[1] / "client/imgq/demo/library"
LIST = Path(__file__).with_name("library.txt")

SHAPES = {"wide": (384, 288), "broad": (448, 252), "square": (320, 320), "tall": (270, 360)}
SAVED: dict[str, dict[str, Any]] = {".jpg": {"quality": 82}, ".webp": {"quality": 80, "method": 6}}
SETS: dict[str, Draw] = {
    "modern": partial(rasterise.fluent, look="modern"),
    "twemoji": rasterise.twemoji,
    "flat": partial(rasterise.fluent, look="flat"),
    "noto": rasterise.noto,
}
TURNS = ("modern", "twemoji", "modern", "flat", "twemoji")  # noto is too small to be first


@dataclass(frozen=True)
class Entry:
    """A line of the list: which file shows which thing, where, and how."""

    file: str
    thing: Thing
    kind: Kind
    options: dict[str, str]

    def number(self, name: str, otherwise: float) -> float:
        return float(self.options.get(name, otherwise))


def read_list() -> Iterator[Entry]:
    things = {thing.label: thing for thing in read_things()}
    kinds = {kind.name: kind for kind in KINDS}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            file, thing, kind, *rest = (part.strip() for part in line.split("|"))
            options = dict((word + "=yes").split("=")[:2] for word in " ".join(rest).split())
            yield Entry(file, things[thing], kinds[kind], options)


def draw(entry: Entry) -> Image.Image:
    number = zlib.crc32(entry.file.encode())  # chance hangs on the name alone, not on its place
    rng = np.random.default_rng(number)
    size = SHAPES[entry.options.get("shape", "wide")]
    image = paint(entry.kind, size, rng)
    art = cut_out(entry, round(entry.number("size", 0.45) * size[1]), TURNS[number % len(TURNS)])
    for x, y, scale in places(entry, rng):
        part = art.resize(
            (round(art.width * scale), round(art.height * scale)), Image.Resampling.LANCZOS
        )
        stand(image, part, (x, y), "floats" not in entry.options)
    return image


def cut_out(entry: Entry, height: int, turn: str) -> Image.Image:
    """The thing alone, in its colour; its longer side is `height`."""
    wanted = entry.options.get("by", turn)
    for name in (wanted, *SETS):
        pixels = SETS[name](entry.thing, height + 4)
        if pixels is not None:
            break
    else:
        raise LookupError(f"no set has {entry.thing.label}")
    if "paint" in entry.options:
        pixels = _painted(pixels, entry.options["paint"])
    art = Image.fromarray(pixels)
    art = art.crop(art.getchannel("A").getbbox())
    return art.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if "flip" in entry.options else art


def places(entry: Entry, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Where the foot of each one is, and its size: the nearer, the lower and the larger."""
    foot = entry.number("y", entry.kind.stand)
    count = int(entry.number("many", 1))
    if count == 1:
        return [(entry.number("x", rng.uniform(0.42, 0.58)), foot, 1.0)]
    across = np.linspace(0.28, 0.72, count)
    return [
        (float(x), foot - 0.03 + 0.06 * (n % 2), 1 - 0.14 * (n % 2 == 0))
        for n, x in enumerate(across)
    ]


def stand(image: Image.Image, art: Image.Image, foot: tuple[float, float], shadow: bool) -> None:
    x, y = round(foot[0] * image.width), round(foot[1] * image.height)
    if shadow:
        mask = Image.new("L", image.size)
        wide, high = art.width * 0.42, max(3, art.height * 0.05)
        ImageDraw.Draw(mask).ellipse((x - wide, y - high, x + wide, y + high), fill=90)
        image.paste((20, 24, 40), mask=mask.filter(ImageFilter.GaussianBlur(high * 0.6)))
    image.paste(art, (x - art.width // 2, y - art.height), art)


def _painted(pixels: np.ndarray, colour: str) -> np.ndarray:
    torch.manual_seed(0)  # the tint has a little chance in it
    art = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255
    tinted = colours.tint(art, torch.tensor([colours.NAMES.index(colour)]), torch.zeros(1))
    return (tinted[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=LIBRARY)
    out: Path = parser.parse_args().out
    for entry in read_list():
        path = out / (entry.file if "." in entry.file else f"{entry.file}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(entry).save(path, **SAVED.get(path.suffix, {"optimize": True}))


if __name__ == "__main__":
    main()
