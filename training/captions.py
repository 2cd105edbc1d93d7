"""What is said of pictures, and of which pictures each saying is true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.colours import NAMES, UNSURE
from training.scenery import KINDS
from training.things import Thing

NOTHING = -1  # of a thing: none is in the picture; of a phrase or colour: none is said

PHRASES = tuple(dict.fromkeys(word for kind in KINDS for word in kind.words))
BY_NAME = 0.72  # the share of captions that say the name itself, not a keyword
BARE = 0.08  # the share that says the scenery alone
COLOUR_ALONE = 0.05  # the share of those with a colour that says nothing else
FRAMES = ("a {}", "the {}", "a picture of a {}", "a drawing of a {}", "one {}")


@dataclass(frozen=True)
class Shown:
    """What pictures show, a row each: a thing, its colour, and the kind of scene behind it."""

    thing: Tensor
    colour: Tensor
    scene: Tensor

    def __getitem__(self, rows: slice) -> Shown:
        return Shown(self.thing[rows], self.colour[rows], self.scene[rows])


@dataclass(frozen=True)
class Said:
    """Captions: the text of each, and what must be seen for it to be true."""

    texts: list[str]
    subject: Tensor  # row of Language.true_of, or NOTHING
    colour: Tensor
    phrase: Tensor

    def joined(self, other: Said) -> Said:
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Said(self.texts + other.texts, *(torch.cat(pair) for pair in pairs))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.subject, self.colour, self.phrase


class Language:
    """The words for a list of things: names and keywords, and which things each is true of."""

    def __init__(self, things: list[Thing]) -> None:
        words = sorted({word for thing in things for word in thing.keywords})
        self.subjects = [thing.name for thing in things] + words
        row = {word: len(things) + at for at, word in enumerate(words)}
        self.keywords = [[row[word] for word in sorted(thing.keywords)] for thing in things]
        self.true_of = torch.zeros(len(self.subjects), len(things), dtype=torch.bool)
        for at, thing in enumerate(things):
            same = [n for n, other in enumerate(things) if other.name == thing.name]
            self.true_of[at, same] = True
            self.true_of[self.keywords[at], at] = True
        # A keyword that is also a name ("dog") is true wherever either is.
        for at, thing in enumerate(things):
            if thing.name in row:
                self.true_of[at] |= self.true_of[row[thing.name]]

    def say(self, shown: Shown, rng: np.random.Generator, coloured: float = 0.6) -> Said:
        """A true caption for each picture; `coloured` is the share that names a colour it has."""
        texts, parts = [], []
        columns = (shown.thing.tolist(), shown.colour.tolist(), shown.scene.tolist())
        for thing, colour, scene in zip(*columns, strict=True):
            subject = self._subject(thing, rng) if scene < 0 or rng.random() >= BARE else NOTHING
            colour = colour if colour >= 0 and subject >= 0 and rng.random() < coloured else NOTHING
            wanted = subject < 0 or rng.random() < 0.4
            phrase = _phrase(scene, rng) if scene >= 0 and wanted else NOTHING
            if colour >= 0 and phrase < 0 and rng.random() < COLOUR_ALONE:
                subject = NOTHING
            texts.append(self._text(subject, colour, phrase, rng))
            parts.append((subject, colour, phrase))
        return Said(texts, *torch.tensor(parts).unbind(1))

    def _subject(self, thing: int, rng: np.random.Generator) -> int:
        if thing < 0:
            return NOTHING
        keywords = self.keywords[thing]
        return (
            thing
            if rng.random() < BY_NAME or not keywords
            else keywords[rng.integers(len(keywords))]
        )

    def _text(self, subject: int, colour: int, phrase: int, rng: np.random.Generator) -> str:
        place = PHRASES[phrase] if phrase >= 0 else ""
        if subject < 0 and colour >= 0:
            return NAMES[colour] if rng.random() < 0.5 else f"something {NAMES[colour]}"
        if subject < 0:
            bare = place.split(" ", 1)[-1] if rng.random() < 0.5 else place
            return bare or "nothing"
        text = (
            f"{NAMES[colour]} {self.subjects[subject]}" if colour >= 0 else self.subjects[subject]
        )
        if rng.random() < 0.25:
            text = FRAMES[rng.integers(len(FRAMES))].format(text)
        return f"{text} {place}".strip()

    def things_said(self, said: Said) -> Tensor:
        """(captions, things): which things a caption's subject is true of."""
        return self.true_of[said.subject.clamp(min=0)] & (said.subject >= 0)[:, None]

    def all_said(self, said: Said) -> tuple[Tensor, Tensor, Tensor]:
        """For things, sceneries and colours, (captions, count): which ones a caption allows."""
        scenes = PHRASE_TRUE[said.phrase.clamp(min=0)] & (said.phrase >= 0)[:, None]
        return self.things_said(said), scenes, _one_of(said.colour, len(NAMES))

    def all_shown(self, shown: Shown) -> tuple[Tensor, Tensor, Tensor]:
        """For things, sceneries and colours, (pictures, count): the one on each, if any."""
        things = _one_of(shown.thing, self.true_of.shape[1])
        return things, _one_of(shown.scene, len(KINDS)), _one_of(shown.colour, len(NAMES))

    def truth(self, said: Said, shown: Shown) -> tuple[Tensor, Tensor]:
        """(captions, pictures) twice: whether it is true, and whether nobody can tell."""
        thing = self.things_said(said)[:, shown.thing.clamp(min=0)] & (shown.thing >= 0)
        thing |= said.subject[:, None] < 0
        scene = PHRASE_TRUE[said.phrase.clamp(min=0)][:, shown.scene.clamp(min=0)]
        scene = scene & (shown.scene >= 0) | (said.phrase[:, None] < 0)
        asked = said.colour[:, None] >= 0
        colour = ~asked | (said.colour[:, None] == shown.colour)
        unsure = asked & (shown.colour == UNSURE) & thing & scene
        return thing & scene & colour, unsure


def _one_of(which: Tensor, count: int) -> Tensor:
    return torch.arange(count) == which[:, None]


def _phrase(scene: int, rng: np.random.Generator) -> int:
    words = KINDS[scene].words
    return PHRASES.index(words[rng.integers(len(words))])


PHRASE_TRUE = torch.tensor([[phrase in kind.words for kind in KINDS] for phrase in PHRASES])
