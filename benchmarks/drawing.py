"""Lines on two logarithmic axes, as SVG that any browser and any README shows, and as PNG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 760, 420, 60, 40, 200, 20
COLORS = (
    "#1b6ca8",
    "#c8553d",
    "#588157",
    "#8e6c8a",
    "#d4a017",
    "#3d405b",
    "#2a9d8f",
    "#9c6644",
    "#777",
)


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y), all above zero."""

    name: str
    points: list[tuple[float, float]]


def drawn(lines: list[Line], x_name: str) -> str:
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    across = _Axis.of(xs, LEFT, WIDTH - RIGHT)
    up = _Axis.of(ys, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(across, up), _text(across.end, HEIGHT - 6, x_name, "end")]
    # Names do not lie upon each other.
    free = float(TOP)
    for number, line in sorted(enumerate(lines), key=lambda each: -_last(each[1])):
        if line.points:
            color = COLORS[number % len(COLORS)]
            free = max(up.at(_last(line)), free)
            parts += _curve(line, across, up, color)
            parts.append(_text(across.end + 8, free + 4, line.name, "start", color))
            free += 15
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f"{body}\n</svg>\n"
    )


def plotted(lines: list[Line], x_name: str, path: Path) -> None:
    """The same, as whatever picture the path names, by matplotlib."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 5))
    for line in lines:
        if line.points:
            axis.plot(*zip(*line.points, strict=True), marker="o", label=line.name)
    axis.set(xscale="log", yscale="log", xlabel=x_name)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120, bbox_inches="tight")


@dataclass(frozen=True, slots=True)
class _Axis:
    """Whole decades between two places."""

    low: int
    high: int
    begin: float
    end: float

    @classmethod
    def of(cls, values: list[float], begin: float, end: float) -> _Axis:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), begin, end)

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def _last(line: Line) -> float:
    return line.points[-1][1] if line.points else 0.0


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for value in up.ticks():
        y = up.at(value)
        parts.append(_path([(across.begin, y), (across.end, y)], "#ddd", 1))
        parts.append(_text(across.begin - 6, y + 4, f"{value:,g}", "end"))
    for value in across.ticks():
        x = across.at(value)
        parts.append(_path([(x, up.begin), (x, up.end)], "#ddd", 1))
        parts.append(_text(x, up.begin + 16, f"{value:,.0f}", "middle"))
    return parts


def _curve(line: Line, across: _Axis, up: _Axis, color: str) -> list[str]:
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
    return [_path(places, color, 2), *dots]


def _path(places: list[tuple[float, float]], color: str, width: int) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, anchor: str, color: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(words)}</text>'
