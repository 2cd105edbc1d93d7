"""Broken pictures without end, the same for the same seed.

    python tests/hostile/corpus.py FOLDER [--seed 1] [--count 1000]

writes some into a folder, to try the program on.
"""

from __future__ import annotations

import argparse
import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from imgqd.pictures import jxl, raw
from imgqd.pictures.opening import prepare
from pictures import encoded, notes, painted
from raw_file import dng

SIZE = (48, 36)
# What programs mistake for sizes.
NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
Bytes = bytes
Mutation = Callable[[random.Random, Bytes, Bytes], Bytes]


@functools.cache
def seeds() -> dict[str, bytes]:
    """Small sound pictures by file name: each format, and kinds of it that go other ways."""
    prepare()
    plain = painted(1, SIZE)
    exif = notes(make="Maker", model="Model", place=(52.0, 4.0)).tobytes()
    alpha = plain.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(SIZE))
    deep = plain.convert("L").convert("I;16")
    return {
        "plain.jpg": encoded(plain, "JPEG", exif=exif),
        "progressive.jpg": encoded(plain, "JPEG", progressive=True, icc_profile=bytes(500)),
        "cmyk.jpg": encoded(plain.convert("CMYK"), "JPEG"),
        "two.mpo": encoded(plain, "MPO", **_frames()),
        "plain.png": encoded(plain, "PNG", exif=exif),
        "palette.png": encoded(plain.quantize(16), "PNG", transparency=3, bits=4),
        "deep.png": encoded(deep, "PNG"),
        "one-bit.png": encoded(plain.convert("1"), "PNG"),
        "alpha.png": encoded(alpha, "PNG"),
        "animated.png": encoded(plain, "PNG", **_frames()),
        "plain.gif": encoded(plain, "GIF"),
        "animated.gif": encoded(plain, "GIF", **_frames()),
        "plain.webp": encoded(plain, "WEBP", exif=exif),
        "lossless.webp": encoded(alpha, "WEBP", lossless=True),
        "animated.webp": encoded(plain, "WEBP", **_frames()),
        "plain.bmp": encoded(plain, "BMP"),
        "palette.bmp": encoded(plain.quantize(16), "BMP"),
        "plain.tif": encoded(plain, "TIFF", exif=exif),
        "lzw.tif": encoded(plain, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(deep, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encoded(plain, "TIFF", compression="jpeg"),
        "fax.tif": encoded(plain.convert("1"), "TIFF", compression="group4"),
        "pages.tif": encoded(painted(1, SIZE), "TIFF", **_frames()),
        "plain.avif": encoded(plain, "AVIF", exif=exif),
        "animated.avif": encoded(plain, "AVIF", **_frames()),
        "plain.heic": encoded(plain, "HEIF", exif=exif),
        "plain.jp2": encoded(plain, "JPEG2000"),
        "lossless.j2k": encoded(alpha, "JPEG2000", no_jp2=True, irreversible=False),
        "plain.ppm": encoded(plain, "PPM"),
        "gray.pgm": encoded(plain.convert("L"), "PPM"),
        "one-bit.pbm": encoded(plain.convert("1"), "PPM"),
        "plain.ico": encoded(plain, "ICO", sizes=[(16, 16), (32, 32)]),
        "bitmap.ico": encoded(plain, "ICO", sizes=[(16, 16)], bitmap_format="bmp"),
        **_of_extras(),
    }


def _of_extras() -> dict[str, bytes]:
    """Of the formats whose decoders are installed."""
    found = {}
    if jxl.is_installed():
        import pillow_jxl  # noqa: F401

        found["plain.jxl"] = encoded(painted(1, SIZE), "JXL")
    if raw.is_installed():
        preview = encoded(painted(2, (280, 260)), "JPEG", quality=50)
        found["plain.dng"] = dng(painted(1, (96, 64)), preview=preview)
        found["bare.dng"] = dng(painted(1, (96, 64)))
    return found


def _frames() -> dict[str, Any]:
    # Others each time: Pillow leaves settings of one format in a picture that another trips over.
    return {"save_all": True, "append_images": [painted(2, SIZE), painted(3, SIZE)]}


def cut(dice: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def flipped(dice: random.Random, data: bytes, _: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16, 64))):
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    return bytes(broken)


def overwritten(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """Numbers where a header may have its sizes."""
    broken = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        width = dice.choice((1, 2, 4))
        at = dice.randrange(min(len(broken), dice.choice((64, 400, 1 << 20))))
        number = dice.choice(NUMBERS) & ((1 << 8 * width) - 1)
        broken[at : at + width] = number.to_bytes(width, dice.choice(("big", "little")))
    return bytes(broken)


def spliced(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """The head of one, the rest of another."""
    at = dice.randrange(min(len(data), 200))
    return data[:at] + other[dice.choice((at, 0, dice.randrange(len(other)))) :]


def doubled(dice: random.Random, data: bytes, _: bytes) -> bytes:
    start = dice.randrange(len(data))
    end = min(len(data), start + dice.choice((1, 8, 64, 1000)))
    return data[:end] + data[start:end] * dice.choice((1, 2, 50)) + data[end:]


def shortened(dice: random.Random, data: bytes, _: bytes) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.choice((1, 4, 100)) :]


def shuffled(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """Its parts are those of a sound picture: in another order, one several times, or gone."""
    head, *parts = _parts(data)
    one, other = dice.randrange(len(parts)), dice.randrange(len(parts))
    match dice.randrange(4):
        case 0:
            parts[one], parts[other] = parts[other], parts[one]
        case 1:
            parts.insert(other, parts[one])
        case 2:
            parts[one] *= dice.choice((2, 50))
        case 3:
            del parts[one]
    return b"".join((head, *parts))


def _parts(data: bytes) -> list[bytes]:
    """What comes before the first, and chunks of PNG and RIFF, segments of JPEG, boxes of ISO's formats;
    a JPEG's pixels, and whatever is none of these, are one part."""
    is_riff = data.startswith(b"RIFF")
    # Where the first begins, where in each its size stands, in how many bytes, and what that leaves out.
    if data.startswith(b"\x89PNG"):
        start, place, width, around = 8, 0, 4, 12
    elif is_riff:
        start, place, width, around = 12, 4, 4, 8
    elif data.startswith(b"\xff\xd8"):
        start, place, width, around = 2, 2, 2, 2
    elif data[4:8] in (b"ftyp", b"jP  ", b"JXL "):
        start, place, width, around = 0, 0, 4, 0
    else:
        return [b"", data]
    parts, at = [data[:start]], start
    while at < len(data) and data[at : at + 2] != b"\xff\xda":
        told = data[at + place : at + place + width]
        size = int.from_bytes(told, "little" if is_riff else "big")
        end = at + max(size + around + (is_riff and size % 2), 8)
        parts.append(data[at:end])
        at = end
    return [*parts, data[at:]]


MUTATIONS: tuple[Mutation, ...] = (
    cut,
    flipped,
    overwritten,
    overwritten,
    spliced,
    doubled,
    shortened,
    shuffled,
)


def broken(seed: int, count: int, sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes; each of the formats in turn, broken in one way or in two."""
    dice = random.Random(seed)
    names = sorted(sound)
    for number in range(count):
        name = names[number % len(names)]
        data = sound[name]
        for mutation in dice.choices(MUTATIONS, k=dice.choice((1, 1, 2))):
            data = mutation(dice, data, sound[dice.choice(names)]) or data
        yield f"{number:06}-{name}", data


def truncated(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Each at each hundredth of its length."""
    for name, data in sound.items():
        for percent in range(100):
            yield f"{percent:02}-{name}", data[: len(data) * percent // 100]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name, data in broken(asked.seed, asked.count, seeds()):
        (asked.folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
