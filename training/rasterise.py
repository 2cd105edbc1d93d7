"""Pictograms to pixels: a function for each set; None where the set lacks the thing."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.packages import (
    FLUENT,
    GOOGLE,
    NOTO,
    NOTO_LINES,
    OPENMOJI,
    TWEMOJI,
    Package,
    fetch,
)
from training.things import Thing

Pixels = NDArray[np.uint8]  # (size, size, 4)


def twemoji(thing: Thing, size: int) -> Pixels | None:
    code = thing.code.lower()
    plain = "-".join(part.lstrip("0") for part in code.split("-") if part != "fe0f")
    folder = fetch(TWEMOJI) / "package"
    return _svg_of([folder / f"{code}.svg", folder / f"{plain}.svg"], size)


def fluent(thing: Thing, size: int, look: str) -> Pixels | None:
    """`look` is one of the set's three: flat, modern (gradients), high-contrast (one colour)."""
    folder = fetch(FLUENT) / "package/icons" / look
    return _svg_of([folder / f"{thing.slug}.svg", folder / f"{thing.slug}-default.svg"], size)


def openmoji(thing: Thing, size: int) -> Pixels | None:
    folder = fetch(OPENMOJI) / "package/color/svg"
    plain = "-".join(part for part in thing.code.split("-") if part != "FE0F")
    return _svg_of([folder / f"{thing.code}.svg", folder / f"{plain}.svg"], size)


def google(thing: Thing, size: int) -> Pixels | None:
    folder = fetch(GOOGLE) / "package/img/google/64"
    parts = thing.code.lower().split("-")
    plain = [part for part in parts if part != "fe0f"]
    # Single signs have their selector there ("2764-fe0f"), even where emojibase has none.
    tries = ["-".join(parts), "-".join(plain), "-".join([*plain, "fe0f"])]
    for path in (folder / f"{name}.png" for name in tries):
        if path.exists():
            return _fitted(Image.open(path), size)
    return None


def noto(thing: Thing, size: int) -> Pixels | None:
    """Out of the font's own bitmaps (136 x 128), by the glyph that its ligatures lead to."""
    cmap, ligatures, bitmaps = _noto_font()
    glyphs = tuple(cmap.get(int(part, 16), "") for part in thing.code.split("-") if part != "FE0F")
    name = glyphs[0] if len(glyphs) == 1 else ligatures.get(glyphs, "")
    bitmap = bitmaps.get(name)
    return None if bitmap is None else _fitted(Image.open(io.BytesIO(bitmap.imageData)), size)


def noto_lines(thing: Thing, size: int) -> Pixels | None:
    """Out of the font's outlines, black; what they enclose is white, as on paper. Single signs only."""
    glyphs, names, height = _lines_font()
    code = [part for part in thing.code.split("-") if part != "FE0F"]
    name = names.get(int(code[0], 16)) if len(code) == 1 else None
    if name is None:
        return None
    pen = SVGPathPen(glyphs)
    glyphs[name].draw(pen)
    wide = glyphs[name].width
    path = f'<path transform="scale(1 -1)" d="{pen.getCommands()}"/>'
    drawn = _svg(path, (-wide // 4, -height * 5 // 4, wide * 3 // 2, height * 3 // 2), size)
    return _fitted(_on_paper(drawn), size)


def _on_paper(lines: Image.Image) -> Image.Image:
    """White where no way leads from the border."""
    outside = lines.getchannel("A").point(lambda alpha: 255 if alpha > 100 else 0)
    ImageDraw.floodfill(outside, (0, 0), 128)
    paper = Image.new("RGBA", lines.size, "white")
    paper.putalpha(outside.point(lambda value: 0 if value == 128 else 255))
    return Image.alpha_composite(paper, lines)


@cache
def _lines_font() -> tuple[Any, dict[int, str], int]:
    font = TTFont(fetch(NOTO_LINES) / "package/files/noto-emoji-emoji-400-normal.woff")
    return font.getGlyphSet(), font.getBestCmap(), font["head"].unitsPerEm


def iconify(thing: Thing, size: int, package: Package) -> Pixels | None:
    """Out of a set that Iconify packs, by the thing's slug or by what older sets make of it."""
    icons, slug = _icons(package), thing.slug
    tries = (slug, slug.replace("-", ""), slug.replace("flag-", "flag-for-", 1), f"{slug}-button")
    icon = next((icons[name] for name in tries if name in icons), None)
    if icon is None:
        return None
    return _fitted(_svg(icon["body"], (0, 0, icon["width"], icon["height"]), size), size)


@cache
def _icons(package: Package) -> dict[str, dict[str, Any]]:
    kept = json.loads((fetch(package) / "package/icons.json").read_text(encoding="utf-8"))
    usual = {side: kept.get(side, 16) for side in ("width", "height")}
    icons = {name: usual | icon for name, icon in kept["icons"].items()}
    for name, alias in kept.get("aliases", {}).items():
        if alias.keys() == {"parent"} and alias["parent"] in icons:
            icons.setdefault(name, icons[alias["parent"]])
    return icons


def _svg(body: str, box: tuple[int, int, int, int], size: int) -> Image.Image:
    view = " ".join(map(str, box))
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">{body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=text, width=size * 2, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


@cache
def _noto_font() -> tuple[dict[int, str], dict[tuple[str, ...], str], dict[str, Any]]:
    font = TTFont(next(fetch(NOTO).rglob("NotoColorEmoji.ttf")))
    ligatures = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            for first, ends in getattr(table, "ligatures", {}).items():
                ligatures.update({(first, *end.Component): end.LigGlyph for end in ends})
    return font.getBestCmap(), ligatures, font["CBDT"].strikeData[0]


def _svg_of(paths: list[Path], size: int) -> Pixels | None:
    for path in paths:
        if path.exists():
            png = resvg_py.svg_to_bytes(svg_path=str(path), width=size * 2, skip_system_fonts=True)
            return _fitted(Image.open(io.BytesIO(bytes(png))), size)
    return None


def _fitted(image: Image.Image, size: int) -> Pixels | None:
    """Cut to what is drawn, centred in a square: sets differ in their borders."""
    image = image.convert("RGBA")
    drawn = image.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    if drawn is None:
        return None
    image = image.crop(drawn)
    inner = size - 4
    scale = inner / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
        Image.Resampling.LANCZOS,
    )
    square = Image.new("RGBA", (size, size))
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return np.asarray(square)
