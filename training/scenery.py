"""Painted backgrounds, each with the words that are true of it. All of it is the project's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from training import landscapes as land
from training import towns
from training.brushes import Rng

Painter = Callable[[tuple[int, int], Rng], Image.Image]


@dataclass(frozen=True)
class Kind:
    """`words` are said after a thing ("a dog in the snow"); `stand` is where a foot goes."""

    name: str
    words: tuple[str, ...]
    draw: Painter
    stand: float = 0.86  # 0 is the top


def paint(kind: Kind, size: tuple[int, int], rng: Rng) -> Image.Image:
    """A picture of (width, height), drawn at twice that for smooth edges."""
    return kind.draw((size[0] * 2, size[1] * 2), rng).reduce(2)


KINDS: tuple[Kind, ...] = (
    Kind("meadow", ("in a meadow", "on the grass", "in a field", "on green hills"), land.meadow),
    Kind(
        "mountains", ("in the mountains", "with mountains behind", "on green hills"), land.mountains
    ),
    Kind("sea", ("on the sea", "at sea", "on the water", "in the ocean"), land.sea, 0.74),
    Kind("beach", ("on the beach", "at the beach", "on the sand", "by the sea"), land.beach),
    Kind(
        "sunset sea",
        ("at sunset", "at sea at sunset", "on the water", "at dusk"),
        land.sunset_sea,
        0.76,
    ),
    Kind(
        "sunset beach",
        ("at sunset", "on the beach at sunset", "on the beach", "beach at sunset"),
        land.sunset_beach,
    ),
    Kind(
        "sunset hills",
        ("at sunset", "in the evening", "at dusk", "on hills at sunset"),
        land.sunset_hills,
    ),
    Kind("night", ("at night", "under the stars", "in the moonlight", "in the dark"), land.night),
    Kind("snow", ("in the snow", "in winter", "on snow", "in a snowy landscape"), land.snow),
    Kind("forest", ("in the forest", "in the woods", "among trees"), land.forest),
    Kind("autumn", ("in autumn", "among autumn trees", "in fall", "among trees"), land.autumn),
    Kind("desert", ("in the desert", "on dunes", "on the sand"), land.desert),
    Kind("city", ("in the city", "on a street", "in town"), towns.city, 0.9),
    Kind(
        "city night",
        ("in the city at night", "at night", "in the city", "in the dark"),
        towns.city_night,
        0.9,
    ),
    Kind("road", ("on the road", "on a street", "on a country road"), towns.road, 0.9),
    Kind(
        "underwater",
        ("under water", "underwater", "in the ocean", "in deep water"),
        land.underwater,
        0.72,
    ),
    Kind("space", ("in space", "among the stars", "in the dark"), land.space, 0.72),
    Kind("clouds", ("in the sky", "above the clouds", "in the air"), land.clouds, 0.7),
    Kind("rain", ("in the rain", "on a rainy day", "in bad weather"), land.rain),
    Kind("table", ("on a table", "on a wooden table", "on a desk"), towns.table, 0.8),
    Kind("room", ("in a room", "at home", "indoors", "in the house"), towns.room, 0.9),
)
