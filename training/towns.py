"""The painters of streets and rooms. Each gives a picture of `size` (width, height)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from training import brushes as b
from training.brushes import WHITE, Rng, vary
from training.landscapes import day, meadow, sky


def city(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng)
    b.skyline(image, 0.72, 0.42, vary((150, 166, 190), rng, 0.03), (226, 238, 250), rng)
    street(image, 0.72, rng)
    return image


def city_night(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (16, 18, 48), (74, 60, 110))
    b.specks(image, 30, (0.0, 0.35), [WHITE], rng, (0.001, 0.004))
    b.skyline(image, 0.72, 0.5, vary((38, 42, 76), rng, 0.02), (255, 218, 120), rng)
    b.ground(image, 0.72, [(48, 48, 62), (30, 30, 42)])
    return image


def street(image: Image.Image, top: float, rng: Rng) -> None:
    b.ground(image, top, [(190, 190, 194), (190, 190, 194)])
    b.ground(image, top + 0.035, [vary((96, 98, 106), rng, 0.02), (72, 74, 82)])
    for left in np.arange(rng.uniform(-0.2, 0), 1.1, 0.24):
        box = (left, left + 0.12, top + 0.2, top + 0.215)
        x0, x1, y0, y1 = (
            round(v * n) for v, n in zip(box, (image.width,) * 2 + (image.height,) * 2, strict=True)
        )
        image.paste((240, 236, 220), (x0, y0, x1, y1))


def road(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng)
    b.hills(image, 0.62, 0.1, vary((142, 190, 106), rng, 0.03), rng)
    b.hills(image, 0.7, 0.05, vary((112, 166, 88), rng, 0.03), rng)
    street(image, 0.72, rng)
    return image


def table(size: tuple[int, int], rng: Rng) -> Image.Image:
    walls = [(246, 226, 196), (206, 226, 222), (236, 210, 210), (214, 222, 240), (232, 232, 214)]
    wall = vary(b.pick(walls, rng), rng, 0.03)
    image = b.gradient(size, [wall, b.mix(wall, WHITE, 0.3)])
    b.planks(image, 0.64, vary((178, 122, 74), rng, 0.05), rng)
    return image


def room(size: tuple[int, int], rng: Rng) -> Image.Image:
    walls = [(238, 214, 176), (182, 208, 204), (226, 186, 176), (198, 204, 228), (214, 222, 186)]
    wall = vary(b.pick(walls, rng), rng, 0.03)
    image = b.gradient(size, [wall, b.mix(wall, (90, 70, 60), 0.08)])
    left = rng.uniform(0.06, 0.6)
    window(image, left, 0.1, rng)
    b.planks(image, 0.76, vary((196, 150, 102), rng, 0.04), rng)
    return image


def window(image: Image.Image, left: float, top: float, rng: Rng) -> None:
    wide, high = round(image.width * 0.3), round(image.height * 0.36)
    at = round(left * image.width), round(top * image.height)
    edge = max(2, image.height // 60)
    image.paste(
        (252, 250, 246), (at[0] - edge, at[1] - edge, at[0] + wide + edge, at[1] + high + edge)
    )
    image.paste(meadow((wide, high), rng), at)
    image.paste(
        (252, 250, 246),
        (at[0] + wide // 2 - edge // 2, at[1], at[0] + wide // 2 + edge // 2, at[1] + high),
    )
    image.paste(
        (252, 250, 246),
        (at[0], at[1] + high // 2 - edge // 2, at[0] + wide, at[1] + high // 2 + edge // 2),
    )
