"""What the sandbox costs: pictures a second in a decoder's process, and in this one, by turns.

    python -m benchmarks.decoding [FOLDER] [--rounds 5]

FOLDER has pictures; without one, 200 JPEGs of 12 megapixels and less are made. Reading, hashing and
decoding to 256 x 256 pixels are counted, as they are for a new file.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from imgqd.pictures.decode import decode
from imgqd.pictures.handle import Decoder
from imgqd.pictures.limits import Limits
from imgqd.pictures.look import look
from imgqd.pictures.opening import prepare
from imgqd.pictures.reader import DescriptorReader
from imgqd.records import PixelSpec

SPEC = PixelSpec(256, 256)
SIZES = ((640, 480), (1600, 1200), (4000, 3000))


def in_place(descriptor: int) -> None:
    look(descriptor, b"a.jpg", Limits())
    decode(io.BufferedReader(DescriptorReader(descriptor), 1 << 16), SPEC, Limits())


def in_a_decoder(decoder: Decoder) -> Callable[[int], None]:
    def work(descriptor: int) -> None:
        decoder.look(descriptor, b"a.jpg")
        decoder.decode(descriptor, 0)

    return work


def seconds(work: Callable[[int], None], path: Path) -> float:
    descriptor = os.open(path, os.O_RDONLY)
    began = time.perf_counter()
    work(descriptor)
    took = time.perf_counter() - began
    os.close(descriptor)
    return took


def make(folder: Path, count: int) -> None:
    dice = random.Random(1)
    for number in range(count):
        noise = Image.frombytes("RGB", (40, 30), dice.randbytes(3600))
        image = noise.resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.jpg", quality=90)


def compare(folder: Path, rounds: int) -> None:
    """Picture by picture, here and there, so that whatever else the machine does meets both."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    decoder = Decoder(SPEC, 1)
    # As nice as a decoder is.
    os.nice(10)
    inside = in_a_decoder(decoder)
    shares = []
    for number in range(rounds):
        there = here = 0.0
        for path in paths:
            there += seconds(inside, path)
            here += seconds(in_place, path)
        shares.append(here / there)
        print(
            f"{number + 1}: {len(paths) / there:7.1f} a second in a decoder,"
            f" {len(paths) / here:7.1f} in place"
        )
    decoder.close()
    print(f"{statistics.median(shares):.3f} of the rate in place (median)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    prepare()
    if asked.folder:
        compare(asked.folder, asked.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 200)
        compare(Path(folder), asked.rounds)


if __name__ == "__main__":
    main()
