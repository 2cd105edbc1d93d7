"""The strokes that sceneries are made of. Places are fractions of the picture, colours are RGB."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Rng = np.random.Generator
WHITE: Colour = (255, 255, 255)


def pick(choices: Sequence[Colour], rng: Rng) -> Colour:
    return choices[int(rng.integers(len(choices)))]


def vary(colour: Colour, rng: Rng, amount: float = 0.05) -> Colour:
    """The colour, a little off: no two skies are the same."""
    hue, light, full = colorsys.rgb_to_hls(*(part / 255 for part in colour))
    hue += rng.normal(0, amount * 0.3)
    light = float(np.clip(light + rng.normal(0, amount), 0, 1))
    full = float(np.clip(full + rng.normal(0, amount), 0, 1))
    red, green, blue = colorsys.hls_to_rgb(hue % 1, light, full)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def gradient(size: tuple[int, int], colours: Sequence[Colour]) -> Image.Image:
    """From the top to the bottom through all the colours, evenly."""
    at = np.linspace(0, len(colours) - 1, size[1])
    bands = [np.interp(at, range(len(colours)), [c[band] for c in colours]) for band in range(3)]
    column = np.stack(bands, axis=1).round().astype(np.uint8)[:, None, :]
    return Image.fromarray(column).resize(size, Image.Resampling.NEAREST)


def ground(image: Image.Image, top: float, colours: Sequence[Colour]) -> None:
    """Everything below `top`, as a gradient."""
    line = round(top * image.height)
    image.paste(gradient((image.width, image.height - line), colours), (0, line))


def hills(image: Image.Image, base: float, rise: float, colour: Colour, rng: Rng) -> None:
    """A soft ridge: its foot fills everything below."""
    line = _ridge(image, base, rise, rng)
    _fill_below(image, line, colour)


def peaks(image: Image.Image, base: float, rise: float, colour: Colour, rng: Rng) -> None:
    """Mountains with snow on them, lit from the left."""
    draw = ImageDraw.Draw(image)
    for left in np.arange(-0.25, 1.0, 0.2) + rng.uniform(-0.05, 0.05):
        width, high = rng.uniform(0.35, 0.6), rise * rng.uniform(0.6, 1.1)
        _peak(draw, image, (left, left + width), (base - high, base), vary(colour, rng, 0.02), rng)


def _peak(
    draw: ImageDraw.ImageDraw,
    image: Image.Image,
    across: tuple[float, float],
    down: tuple[float, float],
    colour: Colour,
    rng: Rng,
) -> None:
    (left, right), (top, foot) = (
        tuple(v * image.width for v in across),
        tuple(v * image.height for v in down),
    )
    tip = left + (right - left) * rng.uniform(0.4, 0.6)
    draw.polygon([(left, foot), (tip, top), (right, foot)], fill=colour)
    shade = mix(colour, (20, 25, 60), 0.25)
    draw.polygon([(tip, top), (right, foot), (tip + (right - tip) * 0.2, foot)], fill=shade)
    snow = [(tip, top)]
    for step, depth in ((0.3, 0.3), (0.12, 0.22), (0.0, 0.34), (-0.12, 0.22), (-0.3, 0.3)):
        slope = (right - tip) if step > 0 else (tip - left)
        reach = min(abs(step), depth) * np.sign(step)
        snow.append((tip + slope * reach, top + (foot - top) * depth))
    draw.polygon(snow, fill=(246, 249, 253))


def _ridge(image: Image.Image, base: float, rise: float, rng: Rng) -> NDArray[np.float64]:
    waves = [(n, 1 / n, rng.uniform(0, 6.3)) for n in (1, 2, 3, 5)]
    across = np.linspace(0, np.pi * rng.uniform(1.2, 2.2), image.width)
    line = np.sum([share * np.sin(n * across + phase) for n, share, phase in waves], axis=0)
    return np.asarray((base - rise * 0.5 * line / 1.6) * image.height)


def _fill_below(image: Image.Image, line: NDArray[np.float64], colour: Colour) -> None:
    edge = [*enumerate(line.tolist()), (image.width, image.height), (0, image.height)]
    ImageDraw.Draw(image).polygon(edge, fill=colour)


def disc(image: Image.Image, at: tuple[float, float], radius: float, colour: Colour) -> None:
    """Sun or moon, with its glow."""
    x, y, r = at[0] * image.width, at[1] * image.height, radius * image.height
    for reach, strength in ((3.2, 0.18), (1.8, 0.3), (1.0, 1.0)):
        mask = Image.new("L", image.size)
        box = (x - r * reach, y - r * reach, x + r * reach, y + r * reach)
        ImageDraw.Draw(mask).ellipse(box, fill=round(255 * strength))
        if reach > 1:
            mask = mask.filter(ImageFilter.GaussianBlur(r * reach / 3))
        image.paste(colour, mask=mask)


def clouds(
    image: Image.Image, count: int, down: tuple[float, float], colour: Colour, rng: Rng
) -> None:
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(count):
        x, y = rng.uniform(0, 1) * image.width, rng.uniform(*down) * image.height
        high = rng.uniform(0.025, 0.055) * image.height
        for step in np.linspace(-1, 1, 6):
            r = high * (1.35 - abs(step)) * rng.uniform(0.8, 1.2)
            draw.ellipse(
                (x + step * high * 3 - r * 1.6, y - r, x + step * high * 3 + r * 1.6, y + r * 0.7),
                fill=215,
            )
    image.paste(colour, mask=mask.filter(ImageFilter.GaussianBlur(image.height / 160)))


def specks(
    image: Image.Image,
    count: int,
    down: tuple[float, float],
    colours: Sequence[Colour],
    rng: Rng,
    radius: tuple[float, float] = (0.002, 0.007),
) -> None:
    """Stars, snowflakes, flowers, bubbles: small round dots."""
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        x, y = rng.uniform(0, 1) * image.width, rng.uniform(*down) * image.height
        r = rng.uniform(*radius) * image.height
        draw.ellipse((x - r, y - r, x + r, y + r), fill=pick(colours, rng))


def strokes(
    image: Image.Image,
    count: int,
    down: tuple[float, float],
    length: tuple[float, float],
    colour: Colour,
    rng: Rng,
) -> None:
    """Short level lines: waves, ripples of sand. Shorter and closer towards the top."""
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        near = rng.uniform(0, 1) ** 0.7
        y = (down[0] + (down[1] - down[0]) * near) * image.height
        x, half = rng.uniform(0, 1) * image.width, rng.uniform(*length) * image.width * (0.3 + near)
        thick = max(1, round(image.height * 0.006 * (0.4 + near)))
        draw.line((x - half, y, x + half, y), fill=colour, width=thick)


def conifers(image: Image.Image, base: float, high: float, colour: Colour, rng: Rng) -> None:
    """A row of firs that stand on `base`."""
    draw = ImageDraw.Draw(image)
    x = -0.05 * image.width
    while x < image.width * 1.05:
        tall = high * rng.uniform(0.6, 1.15) * image.height
        foot = (base + rng.uniform(-0.01, 0.02)) * image.height
        shade = vary(colour, rng, 0.02)
        for level in range(3):
            top, wide = foot - tall * (1 - level * 0.22), tall * (0.14 + 0.07 * level)
            low = top + tall * (0.5 if level < 2 else 0.56)
            draw.polygon([(x, top), (x - wide, low), (x + wide, low)], fill=shade)
        x += tall * rng.uniform(0.3, 0.6)


def rounds(image: Image.Image, base: float, high: float, colour: Colour, rng: Rng) -> None:
    """A row of leafy trees."""
    draw = ImageDraw.Draw(image)
    x = -0.05 * image.width
    while x < image.width * 1.05:
        tall = high * rng.uniform(0.7, 1.1) * image.height
        foot, shade = base * image.height, vary(colour, rng, 0.04)
        draw.rectangle(
            (x - tall * 0.04, foot - tall * 0.5, x + tall * 0.04, foot), fill=(96, 66, 46)
        )
        for _ in range(5):
            cx, cy = x + rng.normal(0, tall * 0.13), foot - tall * rng.uniform(0.5, 0.85)
            r = tall * rng.uniform(0.16, 0.26)
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=vary(shade, rng, 0.015))
        x += tall * rng.uniform(0.45, 1.0)


def skyline(
    image: Image.Image, base: float, high: float, colour: Colour, window: Colour, rng: Rng
) -> None:
    draw = ImageDraw.Draw(image)
    x, step = -0.02 * image.width, image.height * 0.022
    while x < image.width:
        wide, tall = (
            rng.uniform(0.07, 0.16) * image.width,
            high * rng.uniform(0.4, 1.0) * image.height,
        )
        top, shade = base * image.height - tall, vary(colour, rng, 0.03)
        draw.rectangle((x, top, x + wide, base * image.height), fill=shade)
        for wx in np.arange(x + step * 0.7, x + wide - step, step * 1.6):
            for wy in np.arange(top + step, base * image.height - step, step * 1.8):
                if rng.uniform() < 0.6:
                    draw.rectangle(
                        (wx, wy, wx + step * 0.7, wy + step * 0.9),
                        fill=mix(shade, window, rng.uniform(0.5, 1)),
                    )
        x += wide * rng.uniform(0.95, 1.15)


def rays(image: Image.Image, colour: Colour, rng: Rng) -> None:
    """Light that falls through water."""
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(5):
        x, wide = rng.uniform(-0.1, 1.0) * image.width, rng.uniform(0.04, 0.12) * image.width
        lean = rng.uniform(0.1, 0.3) * image.width
        low = image.height * rng.uniform(0.6, 0.95)
        draw.polygon([(x, 0), (x + wide, 0), (x + wide * 2 + lean, low), (x + lean, low)], fill=40)
    image.paste(colour, mask=mask.filter(ImageFilter.GaussianBlur(image.height / 50)))


def planks(image: Image.Image, top: float, colour: Colour, rng: Rng) -> None:
    """A table or a floor of wood."""
    draw = ImageDraw.Draw(image)
    line, count = top * image.height, int(rng.integers(4, 7))
    for row in range(count):
        y0, y1 = (line + (image.height - line) * (n / count) ** 1.3 for n in (row, row + 1))
        shade = vary(colour, rng, 0.02)
        draw.rectangle((0, y0, image.width, y1), fill=shade)
        draw.line(
            (0, y0, image.width, y0),
            fill=mix(shade, (40, 20, 10), 0.35),
            width=max(1, image.height // 150),
        )
