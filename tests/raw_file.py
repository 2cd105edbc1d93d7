"""Camera raw files (DNG), made for tests."""

from __future__ import annotations

import io
import struct

from PIL import Image

Entry = tuple[int, int, int, bytes]
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10


def dng(image: Image.Image, orientation: int = 1, preview: bytes | None = None) -> bytes:
    """What a sensor under a Bayer filter sees of an RGB picture, and a JPEG to look at."""
    width, height = image.size
    sensor = _sensor(image)
    entries: list[Entry] = [
        (254, _LONG, 1, _long(0)), (256, _LONG, 1, _long(width)), (257, _LONG, 1, _long(height)),
        (258, _SHORT, 1, _short(16)), (259, _SHORT, 1, _short(1)), (262, _SHORT, 1, _short(32803)),
        (271, _ASCII, 6, b"Maker\0"), (272, _ASCII, 6, b"Model\0"),
        (273, _LONG, 1, _long(4096)), (274, _SHORT, 1, _short(orientation)),
        (277, _SHORT, 1, _short(1)), (278, _LONG, 1, _long(height)),
        (279, _LONG, 1, _long(len(sensor))),
    ]  # fmt: skip
    if preview is not None:
        entries.append((330, _LONG, 1, _long(3000)))
    entries += [
        (33421, _SHORT, 2, _short(2, 2)), (33422, _BYTE, 4, bytes((0, 1, 1, 2))),
        (50706, _BYTE, 4, bytes((1, 4, 0, 0))), (50708, _ASCII, 12, b"Maker Model\0"),
        (50714, _SHORT, 1, _short(0)), (50717, _LONG, 1, _long(65535)),
        (50721, _SRATIONAL, 9, struct.pack("<18i", 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)),
        (50728, _RATIONAL, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
        (50778, _SHORT, 1, _short(21)),
    ]  # fmt: skip
    file = bytearray(4096) + sensor
    file[:8] = b"II*\0" + _long(8)
    _write(file, 8, entries, 1024)
    if preview is not None:
        shown = Image.open(io.BytesIO(preview)).size
        _write(
            file,
            3000,
            [
                (254, _LONG, 1, _long(1)), (256, _LONG, 1, _long(shown[0])),
                (257, _LONG, 1, _long(shown[1])), (258, _SHORT, 3, _short(8, 8, 8)),
                (259, _SHORT, 1, _short(7)), (262, _SHORT, 1, _short(6)),
                (273, _LONG, 1, _long(len(file))), (277, _SHORT, 1, _short(3)),
                (278, _LONG, 1, _long(shown[1])), (279, _LONG, 1, _long(len(preview))),
            ],
            3600,
        )  # fmt: skip
        file += preview
    return bytes(file)


def _sensor(image: Image.Image) -> bytes:
    width, height = image.size
    planes = [band.tobytes() for band in image.convert("RGB").split()]
    values = (
        planes[(0, 1, 1, 2)[y % 2 * 2 + x % 2]][y * width + x] * 257
        for y in range(height)
        for x in range(width)
    )
    return struct.pack(f"<{width * height}H", *values)


def _write(file: bytearray, at: int, entries: list[Entry], room: int) -> None:
    """A directory at `at`, and what does not fit into it from `room` on."""
    directory = _short(len(entries))
    for tag, kind, count, value in entries:
        if len(value) > 4:
            file[room : room + len(value)] = value
            value, room = _long(room), room + len(value) + len(value) % 2
        directory += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    file[at : at + len(directory) + 4] = directory + _long(0)


def _short(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def _long(value: int) -> bytes:
    return struct.pack("<I", value)
