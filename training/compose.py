"""Pictures for training, a batch at a time: a thing, in some colour, upon some background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training import camera, colours
from training.captions import NOTHING, Shown
from training.packages import DATA
from training.things import ONE_SIDED, Thing

# Black by their nature: that says nothing of the thing.
ONE_COLOUR = ("fluent-contrast", "emojione-black", "noto-lines")
SOLID = ("fluent-contrast", "emojione-black")  # and with nothing behind the black


@dataclass(frozen=True)
class Mix:
    """How often each thing is done, as shares of the pictures."""

    tinted: float = 0.35
    scenery: float = 0.55
    empty: float = 0.03
    restyled: float = 0.35
    odd: float = 0.12


class Studio:
    """Composes pictures with the art of some styles and with sceneries. Its lots are torch's.

    `art`: of each style (things, size, size, 4), `scenes`: (kinds, some of each, size, size, 3), bytes.
    """

    def __init__(self, things: list[Thing], art: dict[str, np.ndarray], scenes: np.ndarray) -> None:
        self.art, styles = list(art.values()), list(art)
        self.there = torch.tensor(np.stack([art[..., 3].any((1, 2)) for art in self.art], 1))
        flags = torch.tensor([thing.group == "flags" for thing in things])
        single = torch.tensor([style in ONE_COLOUR for style in styles])
        self.there &= ~(flags[:, None] & single)
        self.known = self.there.any(1).nonzero()[:, 0]
        self.solid = torch.tensor([style in SOLID for style in styles])
        self.turns = _turnable(things)
        self.paintable = torch.tensor([_paintable(thing) for thing in things])
        self.colours = torch.stack([_natural(art) for art in self.art], 1)
        self.colours[:, single] = colours.UNSURE
        self.colours[~self.paintable] = colours.UNSURE
        self.scenes = scenes

    @classmethod
    def of(cls, things: list[Thing], styles: list[str]) -> Studio:
        """With what prepare made."""
        art = {style: np.load(DATA / f"art-{style}.npy", mmap_mode="r") for style in styles}
        return cls(things, art, np.load(DATA / "scenes.npy", mmap_mode="r"))

    def compose(
        self,
        things: Tensor,
        mix: Mix,
        size: int,
        paint: Tensor | None = None,
        scene: Tensor | None = None,
    ) -> tuple[Tensor, Shown]:
        """Pictures (n, 3, size, size) in 0..1 of `things` (n,), and what is to be seen on them.

        `paint` (n,) are colours to paint in, `scene` (n,) kinds of scenery, NOTHING for none of it;
        where they are not given, lots are drawn.
        """
        paint = self.lots_of_paint(things, mix) if paint is None else paint
        scene = lots_of_scenery(len(things), mix, len(self.scenes)) if scene is None else scene
        behind = self._behind(scene, size)
        art, colour = self._subjects(things, paint, mix, behind.mean((1, 2, 3)) < 0.4)
        bare = (torch.rand(len(things)) < mix.empty) & (scene >= 0)
        art[bare] = 0
        pictures = camera.take(camera.place(art, behind, self.turns[things]))
        none = torch.full_like(things, NOTHING)
        return pictures, Shown(
            torch.where(bare, none, things), torch.where(bare, none, colour), scene
        )

    def lots_of_paint(self, things: Tensor, mix: Mix) -> Tensor:
        wanted = (torch.rand(len(things)) < mix.tinted) & self.paintable[things]
        return torch.where(wanted, torch.randint(len(colours.NAMES), things.shape), NOTHING)

    def _subjects(
        self, things: Tensor, paint: Tensor, mix: Mix, dark: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Art (n, 4, h, w) in 0..1 and its colours (n,); `dark` (n,): what is behind it."""
        style = torch.multinomial(self.there[things].float(), 1)[:, 0]
        rows = zip(things.tolist(), style.tolist(), strict=True)
        art = _tensor(np.stack([self.art[style][thing] for thing, style in rows]))
        colour = torch.where(paint >= 0, paint, self.colours[things, style])
        painted, solid = paint >= 0, self.solid[style]
        art[solid & painted, :3] = 0.6
        art[solid & ~painted & dark, :3] = 0.97
        if painted.any():
            how = torch.rand(int(painted.sum()))
            art[painted] = colours.tint(art[painted], paint[painted], how)
        odd = (torch.rand(len(art)) < mix.odd) & ~painted & self.paintable[things]
        art[odd] = art[odd][:, [*torch.randperm(3).tolist(), 3]]
        colour[odd] = colours.UNSURE
        _restyle(art, colour, torch.rand(len(art)) < mix.restyled)
        return art, colour

    def _behind(self, scene: Tensor, size: int) -> Tensor:
        """Backgrounds (n, 3, size, size): of those kinds of scene, plain where NOTHING."""
        behind = torch.empty(len(scene), 3, size, size)
        staged = scene >= 0
        behind[~staged] = camera.plain(int((~staged).sum()), size)
        if staged.any():
            kinds = scene[staged].tolist()
            which = torch.randint(self.scenes.shape[1], (len(kinds),)).tolist()
            views = [self.scenes[kind, n] for kind, n in zip(kinds, which, strict=True)]
            behind[staged] = camera.crop(_tensor(np.stack(views)), size)
        return behind


def lots_of_scenery(count: int, mix: Mix, kinds: int) -> Tensor:
    kind = torch.randint(kinds, (count,))
    return torch.where(torch.rand(count) < mix.scenery, kind, NOTHING)


def _restyle(art: Tensor, colour: Tensor, which: Tensor) -> None:
    hand = torch.rand(int(which.sum()))
    if len(hand):
        art[which] = camera.restyle(art[which], hand)
        colour[which.nonzero()[:, 0][hand < camera.LINES_ALONE]] = colours.UNSURE


def _tensor(pixels: np.ndarray) -> Tensor:
    """(n, h, w, channels) bytes to (n, channels, h, w) in 0..1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def _natural(art: np.ndarray) -> Tensor:
    parts = [np.array(art[at : at + 256, ::2, ::2]) for at in range(0, len(art), 256)]
    return torch.cat([colours.named(_tensor(part)) for part in parts])


def _turnable(things: list[Thing]) -> Tensor:
    """Not signs and flags, nor what has a twin that faces the other way."""
    twins = {
        thing.name.removesuffix(" facing right") for thing in things if "facing right" in thing.name
    }
    return torch.tensor(
        [
            thing.group not in ONE_SIDED and thing.name.removesuffix(" facing right") not in twins
            for thing in things
        ]
    )


def _paintable(thing: Thing) -> bool:
    """Not what has a colour in its name, nor what is known by its colours."""
    said = set(thing.name.replace("-", " ").split())
    return thing.group not in ("flags", "symbols", "smileys") and not said & set(colours.NAMES)
