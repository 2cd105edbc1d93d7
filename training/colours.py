"""Colours in words: painting a thing in one, and telling which one a thing has by itself."""

from __future__ import annotations

import torch
from torch import Tensor

NAMES = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
)
NONE = -1  # has no one colour
UNSURE = -2  # may be said to have one or another: neither true nor false

# Each colour as hue (in turns), saturation, and how light its middle tone is.
_HSV = torch.tensor([
    (0.000, 0.88, 0.86), (0.080, 0.92, 0.96), (0.140, 0.85, 0.98), (0.340, 0.72, 0.66),
    (0.595, 0.80, 0.86), (0.765, 0.68, 0.70), (0.925, 0.50, 0.98), (0.065, 0.62, 0.52),
    (0.600, 0.05, 0.16), (0.600, 0.02, 0.97), (0.600, 0.03, 0.58),
])  # fmt: skip


def tint(art: Tensor, colour: Tensor, how: Tensor) -> Tensor:
    """Art (n, 4, h, w) in 0..1 painted in `colour` (n,) of NAMES.

    `how` (n,) in 0..1: below a half only what is colourful is painted (tyres stay black, panes stay
    white), above it everything is, by its lightness; and so it is where little is colourful.
    """
    rgb, target = art[:, :3], _HSV.to(art)[colour]
    jitter = (torch.rand(len(art), 3) - 0.5) * torch.tensor([0.03, 0.14, 0.12])
    hue, full, value = ((target + jitter).unbind(1)[band][:, None, None] for band in range(3))
    light = rgb.amax(1) * 0.5 + rgb.mean(1) * 0.5
    middle = (light * art[:, 3]).sum((1, 2)) / art[:, 3].sum((1, 2)).clamp(min=1)
    tone = (value.clamp(0.05, 1) * (light / middle.clamp(min=0.2)[:, None, None]) ** 0.8).clamp(
        0, 1
    )
    painted = hsv_to_rgb(hue.expand_as(tone), full.clamp(0, 1).expand_as(tone), tone)
    colourful = ((rgb.amax(1) - rgb.amin(1)) * 4 - 0.4).clamp(0, 1)
    enough = (colourful * art[:, 3]).sum((1, 2)) > 0.3 * art[:, 3].sum((1, 2))
    part = (how < 0.5) & enough
    share = torch.where(part[:, None, None], colourful, torch.ones_like(colourful))[:, None]
    return torch.cat([painted * share + rgb * (1 - share), art[:, 3:]], 1)


def hsv_to_rgb(hue: Tensor, full: Tensor, value: Tensor) -> Tensor:
    """(n, h, w) each to (n, 3, h, w)."""
    steps = torch.tensor([5.0, 3.0, 1.0])[None, :, None, None]
    k = (steps + hue[:, None] % 1 * 6) % 6
    return value[:, None] * (1 - full[:, None] * torch.minimum(k, 4 - k).clamp(0, 1))


def named(art: Tensor) -> Tensor:
    """The colour that art (n, 4, h, w) in 0..1 has: a row of NAMES, NONE or UNSURE, (n,)."""
    rgb, alpha = art[:, :3], art[:, 3] > 0.5
    top, low = rgb.amax(1), rgb.amin(1)
    full = (top - low) / top.clamp(min=0.05)
    hue = _hue(rgb, top, top - low)
    names = torch.full(top.shape, NAMES.index("grey"))
    names[top < 0.28] = NAMES.index("black")
    names[(low > 0.85) & (full < 0.12)] = NAMES.index("white")
    coloured = (full > 0.25) & (top > 0.28)
    names[coloured] = _hue_names(hue, full, top)[coloured]
    shares = torch.stack([((names == n) & alpha).sum((1, 2)) for n in range(len(NAMES))], 1).float()
    shares /= alpha.sum((1, 2)).clamp(min=1)[:, None]
    best = shares.max(1)
    answer = torch.full((len(art),), UNSURE)
    answer[best.values < 0.3] = NONE
    clear = best.values > 0.6
    answer[clear] = best.indices[clear]
    return answer


def _hue(rgb: Tensor, top: Tensor, spread: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    spread = spread.clamp(min=1e-4)
    hue = torch.where(top == red, (green - blue) / spread, 2 + (blue - red) / spread)
    hue = torch.where((top == blue) & (top != red), 4 + (red - green) / spread, hue)
    return hue / 6 % 1


def _hue_names(hue: Tensor, full: Tensor, top: Tensor) -> Tensor:
    edges = torch.tensor([0.035, 0.105, 0.19, 0.47, 0.70, 0.84, 0.955])
    names = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])[torch.bucketize(hue, edges)]
    dark_warm = (top < 0.68) & (hue > 0.02) & (hue < 0.12)
    pale_red = (names == 0) & (full < 0.55) & (top > 0.75)
    names[dark_warm] = NAMES.index("brown")
    names[pale_red] = NAMES.index("pink")
    return names
