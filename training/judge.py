"""What a model is asked: things by their names, colours, sceneries, copies of photographs.

All figures are per cent unless they say what else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import open_clip
import torch
from open_clip import CLIP
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import normalize

from training import camera
from training import model as builtin
from training.colours import NAMES
from training.compose import Mix, Studio
from training.scenery import KINDS
from training.things import Thing

AS_IT_IS = Mix(tinted=0, scenery=0.45, empty=0, restyled=0, odd=0)
COMPOSED = 128  # pixels; the model sees what is left of them at its own size
PAIRED = [NAMES.index(name) for name in ("red", "blue", "green", "yellow", "purple", "orange")]
Row = tuple[str, float]


class Judge:
    """A model under test: pictures and words to unit vectors."""

    def __init__(self, model: CLIP) -> None:
        self.model = model
        self.tokenizer = open_clip.get_tokenizer(builtin.NAME)
        (self.size, _) = model.visual.image_size
        self.transform = open_clip.image_transform(
            self.size,
            is_train=False,
            mean=open_clip.OPENAI_DATASET_MEAN,
            std=open_clip.OPENAI_DATASET_STD,
        )

    @torch.inference_mode()
    def read(self, texts: list[str]) -> Tensor:
        return normalize(self.model.encode_text(self.tokenizer(texts)), dim=-1)

    def look(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, COMPOSED, COMPOSED) in 0..1."""
        return self._embed(builtin.seen(camera.seen(pictures, self.size)))

    def look_at(self, images: list[Image.Image]) -> Tensor:
        """Pictures of any size, through open_clip's own transform."""
        return self._embed(torch.stack([self.transform(image.convert("RGB")) for image in images]))

    @torch.inference_mode()
    def _embed(self, batch: Tensor) -> Tensor:
        parts = [self.model.encode_image(part) for part in torch.split(batch, 256)]
        return normalize(torch.cat(parts), dim=-1)


def recall(scores: Tensor, true: Tensor, at: tuple[int, ...] = (1, 10)) -> list[float]:
    """How often one of the best `at` of a row of `scores` is `true`, in per cent."""
    best = scores.topk(max(at), 1).indices
    hits = true.gather(1, best)
    return [100 * hits[:, :n].any(1).float().mean().item() for n in at]


def names(judge: Judge, things: list[Thing], studio: Studio, called: str) -> Iterator[Row]:
    """Text to picture and back, among all things by their names; each picture made afresh."""
    pictures, _ = studio.compose(studio.known, AS_IT_IS, COMPOSED)
    texts = [things[at].name for at in studio.known.tolist()]
    true = torch.tensor([[one == other for other in texts] for one in texts])
    scores = judge.read(texts) @ judge.look(pictures).T
    for way, table in (("text to picture", scores), ("picture to text", scores.T)):
        for at, value in zip((1, 10), recall(table, true), strict=True):
            yield f"{called}, {way}, R@{at}", value


def colour_pairs(
    judge: Judge, things: list[Thing], studio: Studio, count: int = 600
) -> Iterator[Row]:
    """Of a thing in two colours, the one that is asked for comes first."""
    rows = studio.known[studio.paintable[studio.known]]
    rows = rows[torch.randint(len(rows), (count,))]
    pair = torch.stack([torch.tensor(PAIRED)[torch.randperm(len(PAIRED))[:2]] for _ in rows], 1)
    seen = [judge.look(studio.compose(rows, AS_IT_IS, COMPOSED, paint=paint)[0]) for paint in pair]
    texts = [
        f"{NAMES[c]} {things[at].name}"
        for c, at in zip(pair[0].tolist(), rows.tolist(), strict=True)
    ]
    asked = judge.read(texts)
    right = (asked * seen[0]).sum(1) > (asked * seen[1]).sum(1)
    yield "colour pairs, right one first", 100 * right.float().mean().item()


def backgrounds(
    judge: Judge, things: list[Thing], studio: Studio, count: int = 40
) -> Iterator[Row]:
    """The same thing in every scenery: the scenery that is asked for comes first."""
    right = []
    for at in studio.known[torch.randperm(len(studio.known))[:count]].tolist():
        scenes = torch.arange(len(KINDS))
        seen = judge.look(
            studio.compose(torch.full_like(scenes, at), AS_IT_IS, COMPOSED, scene=scenes)[0]
        )
        phrases = [kind.words[0] for kind in KINDS]
        asked = judge.read([f"{things[at].name} {phrase}" for phrase in phrases])
        true = torch.tensor([[phrase in kind.words for kind in KINDS] for phrase in phrases])
        right.append(recall(asked @ seen.T, true, (1,))[0])
    yield f"background asked for first of {len(KINDS)}", sum(right) / len(right)


def near_copies(judge: Judge, folder: Path) -> Iterator[Row]:
    """Photographs against copies: scaled to 60 % and saved at quality 70, and cropped to 90 %."""
    photographs = [_upright(path) for path in sorted(folder.iterdir()) if _is_picture(path)]
    kept = judge.look_at(photographs)
    for what, change in (("scaled and saved again", _saved_again), ("cropped", _cropped)):
        copies = judge.look_at([change(image) for image in photographs])
        found = (copies @ kept.T).argmax(1) == torch.arange(len(kept))
        yield f"photographs found by their copy, {what}, of {len(kept)}", found.sum().item()
    yield from spread(kept, "photographs")


def spread(vectors: Tensor, called: str) -> Iterator[Row]:
    """Far from collapse: the mean cosine of two is low, and many directions are in use."""
    cosines = vectors @ vectors.T
    others = cosines[~torch.eye(len(vectors), dtype=torch.bool)]
    strength = torch.linalg.svdvals(vectors - vectors.mean(0)) ** 2
    yield f"{called}, mean cosine of two, x100", 100 * others.mean().item()
    yield (
        f"{called}, directions in use (participation ratio)",
        (strength.sum() ** 2 / (strength**2).sum()).item(),
    )


def _saved_again(image: Image.Image) -> Image.Image:
    small = image.resize(
        (max(1, image.width * 6 // 10), max(1, image.height * 6 // 10)), Image.Resampling.LANCZOS
    )
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=70)
    return Image.open(kept)


def _cropped(image: Image.Image) -> Image.Image:
    wide, high = image.width // 20, image.height // 20
    return image.crop((wide, high, image.width - wide, image.height - high))


def _upright(path: Path) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
