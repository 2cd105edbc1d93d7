"""Trains the builtin model from what prepare made: python -m training.train"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.multiprocessing as processes
from torch import Tensor, distributed, nn
from torch.nn.functional import normalize

from training import model as builtin
from training.captions import FRAMES, PHRASES, Language, Said, Shown
from training.colours import NAMES
from training.compose import Mix, Studio, lots_of_scenery
from training.losses import Anchors, contrast
from training.packages import DATA
from training.prepare import LEARNED
from training.scenery import KINDS
from training.things import read_things

BATCH, TOLD, OTHERS = 64, 48, 24  # pictures; how many of them have captions; captions of others
MEET = 10  # steps that pupils learn alone
DECAY, WARM = 0.05, 100
PLAIN, COLOURS_FROM = (
    600,
    1400,
)  # steps with things on plain grounds mostly; with no word of colours
COOLING = (
    0.3  # the last share of the steps: the rate goes down, and pictures are of the model's size
)
EARLY_SIZE = 64  # pixels, until then
FLAGS = 0.4  # how often, beside other things: many, and nothing but colours
ANCHOR_LENGTH = 0.3  # about that of the random ones
ANCHORED = 1.0  # weight of the anchors beside the pictures and captions themselves

Lesson = tuple[Tensor, Shown, Said, Tensor]


class School:
    """The model, what it is shown and told, and one step of learning from that."""

    def __init__(self, seed: int, start: Path | None) -> None:
        things = read_things()
        self.language, self.studio = Language(things), Studio.of(things, list(LEARNED))
        self.rng = np.random.default_rng(seed)
        self.model = builtin.load(start) if start else builtin.create()
        self.model = self.model.to(memory_format=torch.channels_last).train()
        self.known = COLOURS_FROM if start else 0  # what has been learned need not wait again
        self.tokenizer = open_clip.get_tokenizer(builtin.NAME)
        self.words = builtin.Words(self.model, self.vocabulary())
        counts = (len(things), len(KINDS), len(NAMES))
        self.anchors = Anchors(counts, self.model.visual.head.proj.out_features)
        if start:
            self._anchor([thing.name for thing in things], [kind.words[0] for kind in KINDS])
        flags = torch.tensor([thing.group == "flags" for thing in things])
        self.often = torch.where(flags, FLAGS, 1.0)[self.studio.known]

    @torch.no_grad()
    def _anchor(self, *names: list[str]) -> None:
        """Where the model has the words already."""
        for anchors, texts in zip(self.anchors.sets, names, strict=False):
            tokens = self.words.rows(self.tokenizer(texts))
            anchors.copy_(normalize(self.model.encode_text(tokens), dim=-1) * ANCHOR_LENGTH)

    def loss(self, lesson: Lesson) -> Tensor:
        pictures, shown, said, tokens = lesson
        images = normalize(self.model.encode_image(builtin.seen(pictures)), dim=-1)
        texts = normalize(self.model.encode_text(tokens), dim=-1)
        scale = self.model.logit_scale.exp()
        anchored = self.anchors(images, self.language.all_shown(shown), scale)
        anchored = anchored + self.anchors(texts, self.language.all_said(said), scale)
        pairs = contrast(scale * texts @ images.T, *self.language.truth(said, shown))
        total: Tensor = pairs + ANCHORED * anchored
        return total

    def lesson(self, step: int, size: int) -> Lesson:
        """Pictures of different things, what they show, the captions of some of them and of others."""
        mix, coloured = curriculum(self.known + step)
        order = self.studio.known[torch.multinomial(self.often, BATCH + OTHERS // 2)]
        pictures, shown = self.studio.compose(order[:BATCH], mix, size)
        # Half of the others are of things in the batch, mostly in another place or colour.
        others = imagined(order[BATCH - OTHERS // 2 :], mix, self.studio)
        first, second = (
            self.language.say(one, self.rng, coloured) for one in (shown[:TOLD], others)
        )
        said = first.joined(second)
        return pictures, shown, said, self.words.rows(self.tokenizer(said.texts))

    def vocabulary(self) -> set[int]:
        """Every token that a caption can have."""
        frames = [frame.replace("{}", "") for frame in FRAMES]
        texts = [*self.language.subjects, *PHRASES, *NAMES, *frames, "nothing", "something"]
        return set(self.tokenizer(texts, context_length=77).flatten().tolist())


def curriculum(step: int) -> tuple[Mix, float]:
    """First the things, plainly; then sceneries and other hands; then colours.

    Colours and sceneries are easy, and would keep the model from the things.
    """
    early, coloured = step < PLAIN, step >= COLOURS_FROM
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


class Course:
    """A pupil's steps. What it leaves on the way, it can go on from.

    There is a pupil, a process, for each core. Each learns by itself, and every MEET steps all take
    the mean of what they have become (Stich, Local SGD Converges Fast and Communicates Little, 2019):
    where other work takes a core away for a while, the other need not wait at each operation.
    """

    def __init__(self, school: School, wanted: argparse.Namespace) -> None:
        self.school, self.steps, self.peak, self.step = school, wanted.steps, wanted.peak, 0
        self.cools_from = round(wanted.steps * (1 - wanted.cooling))
        self.parameters = [*school.model.parameters(), *school.anchors.parameters()]
        self.optimiser = torch.optim.AdamW(
            _by_decay(self.parameters), betas=(0.9, 0.98), fused=True
        )

    def go_on(self) -> float:
        """A step; the loss."""
        early = self.step < self.cools_from
        lesson = self.school.lesson(self.step, EARLY_SIZE if early else builtin.SIZE)
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * rate(self.step, self.cools_from, self.steps)
        loss = self.school.loss(lesson)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.school.model.logit_scale.clamp_(0, math.log(100))
        self.step += 1
        if self.step % MEET == 0:
            self._meet()
        return loss.item()

    @torch.no_grad()
    def _meet(self) -> None:
        """Weights, what the norms have seen, and the optimiser's moments."""
        state = [*self.parameters, *self.school.model.buffers()]
        for kept in self.optimiser.state.values():
            state += [kept["exp_avg"], kept["exp_avg_sq"]]
        state = [part for part in state if part.is_floating_point()]
        flat = torch.cat([part.flatten() for part in state])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for part, mean in zip(state, flat.split([part.numel() for part in state]), strict=True):
            part.copy_(mean.view(part.shape))

    def keep(self, path: Path) -> None:
        beside = path.with_suffix(".part")
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        lots = (torch.get_rng_state(), self.school.rng.bit_generator.state)
        torch.save({"parts": parts, "step": self.step, "lots": lots}, beside)
        beside.rename(path)

    def take_up(self, path: Path) -> None:
        kept = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(kept["parts"][name])
        self.step = kept["step"]
        torch.set_rng_state(kept["lots"][0])
        self.school.rng.bit_generator.state = kept["lots"][1]

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.school.model,
            "anchors": self.school.anchors,
            "optimiser": self.optimiser,
        }


def attend(pupil: int, wanted: argparse.Namespace, meeting: str) -> None:
    """Writes the weights at the end, and every 100 steps what one can go on from."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{meeting}", None, wanted.pupils, pupil)
    torch.manual_seed(wanted.seed)  # all begin alike, and then see different pictures
    course = Course(School(wanted.seed + pupil, wanted.start), wanted)
    torch.manual_seed(wanted.seed + pupil)
    under_way = DATA / f"under-way-{pupil}.pt"
    if wanted.resume:
        course.take_up(under_way)
    began, losses = time.monotonic(), []
    while course.step < course.steps:
        losses.append(course.go_on())
        if course.step % 100 == 0:
            course.keep(under_way)
            mean, spent = sum(losses[-100:]) / len(losses[-100:]), time.monotonic() - began
            print(f"pupil {pupil}, step {course.step}, loss {mean:.3f}, {spent:.0f} s", flush=True)
    if pupil == 0:
        builtin.save(course.school.model, course.school.words, wanted.out)
    distributed.destroy_process_group()


def rate(step: int, cools_from: int, steps: int) -> float:
    """Up within WARM steps, level, then down to nothing, fast at first.

    Until it goes down, nothing depends on how many steps there will be (warmup, stable, decay: Hu and
    others, MiniCPM, 2024). Down as 1 - sqrt (Hägele and others, Scaling Laws and Compute-Optimal
    Training Beyond Fixed Training Durations, 2024).
    """
    cooled = (step - cools_from) / (steps - cools_from) if step >= cools_from else 0.0
    return min((step + 1) / WARM, 1 - math.sqrt(cooled))


def _by_decay(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights decay; norms, biases and the scale do not."""
    heavy = [parameter for parameter in parameters if parameter.ndim >= 2]
    light = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": heavy, "weight_decay": DECAY}, {"params": light, "weight_decay": 0.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument(
        "--cooling", type=float, default=0.3, help="the last share, in which the rate goes down"
    )
    parser.add_argument("--start", type=Path, help="weights to go on from, for a shorter run")
    parser.add_argument("--peak", type=float, default=2e-3, help="the highest rate of learning")
    parser.add_argument("--resume", action="store_true", help="go on where a training was ended")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pupils", type=int, default=2, help="a process each")
    parser.add_argument("--out", type=Path, default=builtin.WEIGHTS)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(attend, (wanted, f"{folder}/meeting"), wanted.pupils)


if __name__ == "__main__":
    main()
