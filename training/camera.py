"""From art to pictures: outlines, places, light, blur, noise.

All tensors of pixels are (n, channels, h, w) in 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LINES_ALONE = 0.2


def restyle(art: Tensor, hand: Tensor) -> Tensor:
    """Art in another hand: lines alone (`hand` (n,) below LINES_ALONE), flat colours, outlines."""
    hand = hand[:, None, None, None]
    flat = torch.where(hand < 0.7, (art[:, :3] * 4).round() / 4, art[:, :3])
    pale = torch.where(hand < LINES_ALONE, 0.93 + 0.07 * flat, flat)
    lines = _lines(art) * torch.where(hand < 0.85, 1.0, 0.0)
    ink = torch.rand(len(art), 1, 1, 1) * 0.2
    return torch.cat([pale * (1 - lines) + ink * lines, torch.maximum(art[:, 3:], lines)], 1)


def _lines(art: Tensor) -> Tensor:
    """Where one would draw: around the thing, and where its colours change. (n, 1, h, w)"""
    solid = torch.cat([art[:, :3] * art[:, 3:], art[:, 3:]], 1)
    change = torch.maximum((solid - solid.roll(1, 2)).abs_(), (solid - solid.roll(1, 3)).abs_())
    lines = torch.maximum(change[:, 3:], change[:, :3].amax(1, keepdim=True) * 2.2 - 0.5).clamp_(
        0, 1
    )
    lines = torch.maximum(lines, lines.roll(-1, 2))
    return torch.maximum(lines, lines.roll(-1, 3))


def place(art: Tensor, behind: Tensor, turns: Tensor) -> Tensor:
    """Art upon backgrounds: somewhere, at some size, a little askew, now and then with a shadow.

    `turns` (n,): whether it may be mirrored.
    """
    count, size = len(art), behind.shape[-1]
    scale = 0.35 + 0.63 * torch.rand(count) ** 0.7
    angle = torch.randn(count) * 0.12
    mirror = torch.where((torch.rand(count) < 0.5) & turns, -1.0, 1.0)
    aspect = torch.exp(torch.randn(count) * 0.08)
    room = (1 - scale).clamp(min=0) + 0.08
    at = (torch.rand(count, 2) * 2 - 1) * room[:, None]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    turn = torch.stack([
        torch.stack([cos * mirror * aspect, sin * mirror * aspect], 1),
        torch.stack([-sin / aspect, cos / aspect], 1),
    ], 1)  # fmt: skip
    shift = -(turn @ at[:, :, None])
    laid = _laid(art, torch.cat([turn, shift], 2), scale * size, size)
    alpha = laid[:, 3:]
    clear = 1 - alpha
    shaded = torch.rand(count) < 0.3
    fall = F.avg_pool2d(torch.roll(alpha[shaded], (size // 24, size // 30), (2, 3)), 7, 1, 3)
    clear[shaded] *= 1 - 0.5 * fall
    return (behind * clear).add_(laid[:, :3])


def _laid(art: Tensor, turn: Tensor, width: Tensor, size: int) -> Tensor:
    """Art as it lies, premultiplied; what comes out at less than half its `width` is halved first."""
    grid = F.affine_grid(turn, [len(art), 4, size, size], align_corners=False)
    laid = torch.empty(len(art), 4, size, size)
    small = width < 0.55 * art.shape[-1]
    for rows in (small.nonzero()[:, 0], (~small).nonzero()[:, 0]):
        part = art[rows]
        part = torch.cat([part[:, :3] * part[:, 3:], part[:, 3:]], 1)
        part = F.avg_pool2d(part, 2) if len(rows) and small[rows[0]] else part
        laid[rows] = F.grid_sample(part, grid[rows], align_corners=False)
    return laid


def plain(count: int, size: int) -> Tensor:
    """Backgrounds that no word is said of: white, one colour, two that run together, soft blots."""
    base = torch.rand(count, 3, 1, 1) ** 0.7
    other = torch.rand(count, 3, 1, 1)
    across = torch.linspace(0, 1, size).expand(count, 1, size, size)
    across = torch.where(torch.rand(count, 1, 1, 1) < 0.5, across, across.transpose(2, 3))
    cells = int(torch.randint(2, 14, ()))
    blots = F.interpolate(torch.rand(count, 3, cells, cells), size, mode="bilinear")
    pick = torch.rand(count, 1, 1, 1)
    behind = base.expand(-1, -1, size, size)
    behind = torch.where(pick < 0.62, base * across + other * (1 - across), behind)
    behind = torch.where(pick < 0.42, blots, behind)
    behind[(pick < 0.2).flatten()] = 1
    return behind


def crop(scenes: Tensor, size: int) -> Tensor:
    """A part of each scene, mirrored half the time."""
    count = len(scenes)
    scale = 0.7 + 0.3 * torch.rand(count)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    at = (torch.rand(count, 2) * 2 - 1) * (1 - scale)[:, None]
    zero = torch.zeros(count)
    turn = torch.stack([
        torch.stack([scale * mirror, zero, at[:, 0]], 1),
        torch.stack([zero, scale, at[:, 1]], 1),
    ], 1)  # fmt: skip
    grid = F.affine_grid(turn, [count, 3, size, size], align_corners=False)
    return F.grid_sample(scenes, grid, padding_mode="border", align_corners=False)


def take(pictures: Tensor) -> Tensor:
    """What a camera makes of them: the light, blur and noise of a picture in use."""
    count, grain = len(pictures), pictures.shape[-1] / 64
    gain, lift = 1 + torch.randn(count, 1, 1, 1) * 0.12, torch.randn(count, 1, 1, 1) * 0.05
    full = 1 + torch.randn(count, 1, 1, 1) * 0.15
    grey = pictures.mean(1, keepdim=True)
    pictures = pictures * (full * gain) + (grey * ((1 - full) * gain) + lift)
    some = (torch.rand(count) < 0.3).nonzero()[:, 0]
    pictures[some] = _softened(pictures[some], round(grain))
    some = (torch.rand(count) < 0.4).nonzero()[:, 0]
    noise = torch.randn(len(some), *pictures.shape[1:])
    pictures[some] += noise * (0.03 * grain * torch.rand(len(some), 1, 1, 1))
    return pictures.clamp_(0, 1)


def _softened(pictures: Tensor, far: int) -> Tensor:
    blurred = F.avg_pool2d(F.pad(pictures, (far,) * 4, "replicate"), 2 * far + 1, 1)
    return torch.lerp(pictures, blurred, torch.rand(len(pictures), 1, 1, 1))


def seen(pictures: Tensor, size: int) -> Tensor:
    """Pictures scaled as open_clip's transform does it."""
    return F.interpolate(pictures, size, mode="bicubic", antialias=True).clamp_(0, 1)
