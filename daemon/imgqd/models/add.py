"""Taking a file of weights that a person brings into the models folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imgqd.models import card, towers, weights
from imgqd.models.architecture import blank_card
from imgqd.models.card import Card
from imgqd.models.hub import Hub
from imgqd.models.source import brought


def add(models: str | Path, name: str, file: Path, architecture: str | None = None) -> Card:
    """Copies the file and writes its card; the file itself is no longer needed.

    name: a preset, an architecture, or a new name with `architecture` (or ARCHITECTURE/TAG, whose
    preprocessing it then has). Raises UsageError; Refused where the file is a pickle or unfit.
    """
    wanted = brought(name, models, architecture)
    weights.require_safetensors(file, wanted.architecture)
    blank = blank_card(name, wanted.architecture, wanted.tag)
    towers.require_fit(blank, file)
    folder = Path(models)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = card.load(folder, name)
    place, digest = weights.bring(file, folder, card.path_of(folder, name).stem)
    whole = replace(blank, weights=str(place), tokenizer=_tokenizer(folder, blank))
    ready = card.identified(whole, digest)
    card.save(folder, ready)
    _forget(folder, before, ready)
    return ready


def _tokenizer(folder: Path, blank: Card) -> str | None:
    """Where its files are, if they are on this disk."""
    if blank.tokenizer_from is None:
        return None
    found = Hub(folder / "hub").cached_tokenizer(blank.tokenizer_from)
    return None if found is None else str(found)


def _forget(folder: Path, before: Card | None, now: Card) -> None:
    """Removes the weights that the name had before, where they were a copy of ours."""
    if before is None or before.weights == now.weights:
        return
    if Path(before.weights).parent == folder:
        Path(before.weights).unlink(missing_ok=True)
