"""Pictures for any terminal with colors: half blocks, two pixels a cell."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from imgq.preview.pixels import Box, Canvas

_RESET = b"\x1b[0m"
_UPPER, _LOWER = "▀".encode(), "▄".encode()


def true_colors(canvas: Canvas, cells: Box) -> bytes:
    return _encoded(canvas, lambda red, green, blue: b"2;%d;%d;%d" % (red, green, blue))


def few_colors(canvas: Canvas, cells: Box) -> bytes:
    """In the color cube that xterm has at 16 to 231."""
    return _encoded(canvas, _named)


def _named(red: int, green: int, blue: int) -> bytes:
    return b"5;%d" % (16 + _level(red) * 36 + _level(green) * 6 + _level(blue))


def _level(value: int) -> int:
    """Which of 0, 95, 135, 175, 215 and 255 is nearest."""
    return 0 if value < 48 else 1 if value < 115 else (value - 35) // 40


def _encoded(canvas: Canvas, named: Callable[[int, int, int], bytes]) -> bytes:
    clear = bytes(canvas.width * 4)
    lines = []
    for number in range(0, canvas.height, 2):
        below = canvas.row(number + 1) if number + 1 < canvas.height else clear
        lines.append(_line(canvas.row(number), below, named))
    return b"\n".join(lines)


def _line(above: bytes, below: bytes, named: Callable[[int, int, int], bytes]) -> bytes:
    parts, last = list[bytes](), b""
    for at in range(0, len(above), 4):
        upper = named(*above[at : at + 3]) if above[at + 3] else b""
        lower = named(*below[at : at + 3]) if below[at + 3] else b""
        colors, block = _cell(upper, lower)
        # A color holds until another is named.
        parts.append(colors * (colors != last) + block)
        last = colors
    return b"".join(parts) + _RESET


def _cell(upper: bytes, lower: bytes) -> tuple[bytes, bytes]:
    """The colors and the character of a cell; a half without a color is as the terminal is."""
    if upper and lower:
        return b"\x1b[38;%s;48;%sm" % (upper, lower), _UPPER
    if upper:
        return b"\x1b[0;38;%sm" % upper, _UPPER
    return (b"\x1b[0;38;%sm" % lower, _LOWER) if lower else (_RESET, b" ")
