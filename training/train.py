"""Trains the builtin model from what prepare made: python -m training.train"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip import CLIP
from torch import Tensor, nn
from torch.nn.functional import normalize

from training import model as builtin
from training.captions import FRAMES, PHRASES, Language, Said, Shown
from training.colours import NAMES
from training.compose import Mix, Studio, lots_of_scenery
from training.losses import Anchors, contrast
from training.prepare import LEARNED
from training.scenery import KINDS
from training.things import read_things

BATCH, OTHERS = 128, 192
DECAY, WARM = 0.05, 100
COLOURS_FROM = 0.4  # share of the training after which colours are taught
FLAGS = 0.4  # how often, beside other things: many, and nothing but colours
ANCHORED = 0.5  # weight of the anchors beside the pictures and captions themselves

Lesson = tuple[Tensor, Shown, Said]


class School:
    """The model, what it is shown and told, and one step of learning from that."""

    def __init__(self, seed: int, start: Path | None = None) -> None:
        things = read_things()
        self.language, self.studio = Language(things), Studio(things, list(LEARNED))
        self.rng = np.random.default_rng(seed)
        self.model: CLIP = builtin.load(start) if start else builtin.create()
        self.model = self.model.to(memory_format=torch.channels_last).train()
        self.begun = COLOURS_FROM if start else 0.0  # what has been learned need not wait again
        self.tokenizer = open_clip.get_tokenizer(builtin.NAME)
        counts = (len(things), len(KINDS), len(NAMES))
        self.anchors = Anchors(counts, self.model.visual.head.proj.out_features)
        flags = torch.tensor([thing.group == "flags" for thing in things])
        self.often = torch.where(flags, FLAGS, 1.0)[self.studio.known]
        builtin.forget_unused(self.model, self.vocabulary())

    def loss(self, lesson: Lesson) -> Tensor:
        pictures, shown, said = lesson
        images = normalize(self.model.encode_image(builtin.seen(pictures)), dim=-1)
        texts = normalize(self.model.encode_text(self.tokenizer(said.texts)), dim=-1)
        scale = self.model.logit_scale.exp()
        anchored = self.anchors(images, self.language.all_shown(shown), scale)
        anchored = anchored + self.anchors(texts, self.language.all_said(said), scale)
        pairs = contrast(scale * texts @ images.T, *self.language.truth(said, shown))
        total: Tensor = pairs + ANCHORED * anchored
        return total

    def lessons(self, steps: int) -> Iterator[Lesson]:
        """One a step, made while the one before is learned: that thread draws all the lots."""
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(self.lesson, self.begun)
            for step in range(1, steps + 1):
                done = self.begun + (1 - self.begun) * step / steps
                ready, coming = coming, beside.submit(self.lesson, done)
                yield ready.result()

    def lesson(self, done: float) -> Lesson:
        """Pictures of different things, what they show, their captions and captions of others.

        `done` is the share of the training that is over, 0 to 1.
        """
        mix, coloured = curriculum(done)
        order = self.studio.known[torch.multinomial(self.often, BATCH + OTHERS // 2)]
        pictures, shown = self.studio.compose(order[:BATCH], mix)
        # Half of the others are of the same things, mostly in another place or colour.
        others = imagined(order[BATCH - OTHERS // 2 :], mix, self.studio)
        said = [self.language.say(one, self.rng, coloured) for one in (shown, others)]
        return pictures, shown, said[0].joined(said[1])

    def vocabulary(self) -> set[int]:
        """Every token that a caption can have."""
        frames = [frame.replace("{}", "") for frame in FRAMES]
        texts = [*self.language.subjects, *PHRASES, *NAMES, *frames, "nothing"]
        return set(self.tokenizer(texts, context_length=77).flatten().tolist())


def curriculum(done: float) -> tuple[Mix, float]:
    """First the things, plainly; then sceneries and other hands; then colours.

    Colours and sceneries are easy, and would keep the model from the things.
    """
    early = done < 0.25
    coloured = done >= COLOURS_FROM
    mix = Mix(
        tinted=Mix.tinted if coloured else 0.0,
        scenery=0.15 if early else Mix.scenery,
        restyled=0.15 if early else Mix.restyled,
    )
    return mix, 0.6 if coloured else 0.0


def imagined(things: Tensor, mix: Mix, studio: Studio) -> Shown:
    """Pictures that nobody painted, for captions that are mostly wrong of the batch."""
    paint = studio.lots_of_paint(things, mix)
    return Shown(things, paint, lots_of_scenery(len(things), mix, len(KINDS)))


def train(school: School, steps: int, peak: float, out: Path) -> None:
    """Writes the weights now and then on the way, and at the end."""
    parameters = [*school.model.parameters(), *school.anchors.parameters()]
    optimiser = torch.optim.AdamW(_by_decay(parameters), betas=(0.9, 0.98), fused=True)
    began, losses = time.monotonic(), []
    for step, lesson in enumerate(school.lessons(steps)):
        for group in optimiser.param_groups:
            group["lr"] = peak * rate(step, steps)
        loss = school.loss(lesson)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        with torch.no_grad():
            school.model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
        if step % 50 == 49:
            mean, spent = sum(losses[-50:]) / 50, time.monotonic() - began
            print(f"step {step + 1}, loss {mean:.3f}, {spent:.0f} s", file=sys.stderr, flush=True)
        if step % 500 == 499 or step + 1 == steps:
            builtin.save(school.model, out)


def rate(step: int, steps: int) -> float:
    """Up within WARM steps, then down along a cosine to nothing."""
    warm = min(WARM, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def _by_decay(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights decay; norms, biases and the scale do not."""
    heavy = [parameter for parameter in parameters if parameter.ndim >= 2]
    light = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": heavy, "weight_decay": DECAY}, {"params": light, "weight_decay": 0.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--peak", type=float, default=3e-3, help="the highest rate of learning")
    parser.add_argument("--start", type=Path, help="weights to go on from, for a shorter run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=builtin.WEIGHTS)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(wanted.seed)
    train(School(wanted.seed, wanted.start), wanted.steps, wanted.peak, wanted.out)


if __name__ == "__main__":
    main()
