"""The painters of land, sea and sky. Each gives a picture of `size` (width, height)."""

from __future__ import annotations

from PIL import Image

from training import brushes as b
from training.brushes import WHITE, Colour, Rng, vary


def sky(size: tuple[int, int], rng: Rng, top: Colour, low: Colour) -> Image.Image:
    return b.gradient(size, [vary(top, rng), vary(low, rng, 0.03)])


def day(size: tuple[int, int], rng: Rng, cloudy: int = 3) -> Image.Image:
    image = sky(size, rng, (92, 172, 238), (205, 232, 250))
    if rng.uniform() < 0.5:
        b.disc(image, (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.25)), 0.06, (255, 236, 150))
    b.clouds(image, int(rng.integers(1, cloudy + 2)), (0.08, 0.36), (255, 255, 255), rng)
    return image


def meadow(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng)
    for step, base in enumerate((0.58, 0.66, 0.76)):
        b.hills(
            image,
            base,
            0.12,
            vary((150 - 26 * step, 204 - 20 * step, 104 - 14 * step), rng, 0.02),
            rng,
        )
    blossoms = [WHITE, (255, 226, 92), (240, 128, 160)]
    b.specks(image, 26, (0.8, 1.0), blossoms, rng, (0.004, 0.009))
    return image


def mountains(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng, 2)
    b.peaks(image, 0.68, 0.42, (128, 140, 172), rng)
    b.hills(image, 0.68, 0.08, vary((116, 168, 104), rng, 0.02), rng)
    b.hills(image, 0.78, 0.08, vary((92, 146, 82), rng, 0.02), rng)
    return image


def sea(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng)
    b.ground(image, 0.52, [vary((64, 150, 205), rng, 0.03), vary((28, 92, 158), rng, 0.03)])
    b.strokes(image, 45, (0.54, 1.0), (0.02, 0.06), (138, 198, 232), rng)
    return image


def beach(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = day(size, rng)
    b.ground(image, 0.46, [vary((52, 152, 208), rng, 0.03), (104, 206, 216)])
    b.strokes(image, 16, (0.48, 0.66), (0.02, 0.06), (190, 232, 240), rng)
    b.hills(image, 0.685, 0.03, (236, 250, 250), rng)
    b.hills(image, 0.705, 0.03, vary((244, 220, 164), rng, 0.02), rng)
    b.specks(image, 30, (0.8, 1.0), [(222, 192, 134), (252, 238, 204)], rng)
    return image


def glow(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = b.gradient(size, [vary((70, 52, 120), rng), vary((232, 104, 96), rng), (255, 196, 108)])
    image = image.resize(size)
    b.disc(image, (rng.uniform(0.25, 0.75), 0.5), 0.1, (255, 240, 190))
    b.clouds(image, 3, (0.12, 0.36), (255, 172, 142), rng)
    return image


def sunset_sea(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = glow(size, rng)
    b.ground(image, 0.56, [(240, 138, 100), (92, 58, 116)])
    b.strokes(image, 40, (0.57, 1.0), (0.02, 0.06), (255, 200, 130), rng)
    return image


def sunset_beach(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sunset_sea(size, rng)
    b.hills(image, 0.745, 0.04, (250, 206, 160), rng)
    b.hills(image, 0.765, 0.04, vary((196, 138, 106), rng, 0.02), rng)
    return image


def sunset_hills(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = glow(size, rng)
    for base, colour in ((0.62, (150, 76, 106)), (0.72, (104, 54, 92)), (0.82, (66, 40, 74))):
        b.hills(image, base, 0.12, vary(colour, rng, 0.02), rng)
    return image


def night(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (12, 18, 52), (52, 66, 126))
    b.specks(image, 70, (0.0, 0.6), [(255, 255, 255), (255, 244, 204)], rng, (0.001, 0.005))
    if rng.uniform() < 0.75:
        b.disc(image, (rng.uniform(0.12, 0.88), rng.uniform(0.12, 0.28)), 0.065, (250, 246, 220))
    for base, colour in ((0.68, (36, 52, 92)), (0.8, (24, 36, 66))):
        b.hills(image, base, 0.1, vary(colour, rng, 0.02), rng)
    return image


def snow(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (150, 186, 222), (226, 238, 248))
    b.conifers(image, 0.64, 0.22, vary((92, 132, 140), rng, 0.03), rng)
    for base, colour in ((0.66, (232, 240, 249)), (0.78, (247, 250, 254))):
        b.hills(image, base, 0.08, colour, rng)
    b.specks(image, 60, (0.0, 1.0), [WHITE], rng, (0.003, 0.009))
    return image


def forest(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (168, 208, 196), (222, 238, 214))
    for base, colour in ((0.6, (118, 164, 132)), (0.7, (72, 126, 92)), (0.8, (42, 94, 66))):
        b.conifers(image, base, 0.42, vary(colour, rng, 0.02), rng)
    b.ground(image, 0.79, [(74, 108, 58), (54, 84, 46)])
    return image


def autumn(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (176, 206, 226), (246, 232, 206))
    b.rounds(image, 0.72, 0.4, vary((214, 122, 44), rng, 0.04), rng)
    b.hills(image, 0.73, 0.05, (200, 150, 74), rng)
    leaves = [(206, 92, 42), (232, 160, 54), (168, 66, 36)]
    b.specks(image, 50, (0.76, 1.0), leaves, rng, (0.006, 0.012))
    return image


def desert(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (120, 186, 232), (252, 232, 194))
    b.disc(image, (rng.uniform(0.15, 0.85), 0.2), 0.07, (255, 244, 190))
    for base, colour in ((0.6, (236, 190, 122)), (0.7, (224, 168, 98)), (0.82, (208, 146, 78))):
        b.hills(image, base, 0.12, vary(colour, rng, 0.02), rng)
    return image


def underwater(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = b.gradient(size, [vary((86, 190, 222), rng), vary((20, 104, 168), rng), (10, 58, 112)])
    b.rays(image, (220, 250, 255), rng)
    b.hills(image, 0.9, 0.06, (196, 178, 130), rng)
    b.specks(image, 22, (0.05, 0.85), [(176, 226, 242), (206, 240, 250)], rng, (0.006, 0.016))
    return image


def clouds(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (74, 156, 230), (196, 226, 248))
    b.clouds(image, 8, (0.1, 0.95), (255, 255, 255), rng)
    return image


def rain(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = sky(size, rng, (96, 108, 124), (168, 178, 188))
    b.clouds(image, 7, (0.02, 0.3), (128, 138, 150), rng)
    b.hills(image, 0.72, 0.08, vary((98, 122, 104), rng, 0.02), rng)
    b.ground(image, 0.84, [(122, 136, 148), (98, 112, 126)])
    for _ in range(70):
        x, y = rng.uniform(0, 1) * image.width, rng.uniform(0, 1) * image.height
        far = image.height * 0.035
        image.paste(
            (206, 218, 228),
            (round(x), round(y), round(x) + max(1, image.height // 220), round(y + far)),
        )
    return image


def space(size: tuple[int, int], rng: Rng) -> Image.Image:
    image = b.gradient(size, [(8, 8, 26), vary((34, 20, 66), rng), (10, 10, 30)])
    for _ in range(2):
        glow = vary((96, 60, 150), rng, 0.1)
        b.disc(image, (rng.uniform(0, 1), rng.uniform(0, 1)), 0.001, glow)
        b.clouds(image, 1, (0.2, 0.8), vary((52, 36, 92), rng, 0.04), rng)
    b.specks(image, 120, (0.0, 1.0), [WHITE, (196, 214, 255), (255, 232, 196)], rng, (0.001, 0.006))
    return image
