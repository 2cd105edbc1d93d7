"""What `imgq model list` shows: the presets, the models that were added, and which are ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgqd.models import card
from imgqd.models.presets import BY_NAME, PRESETS, Preset


@dataclass(frozen=True, slots=True)
class Row:
    """state: "ready" where nothing has to be fetched, else "missing"."""

    name: str
    architecture: str
    tag: str | None
    dim: int
    licence: str | None
    purpose: str
    state: str
    in_use: bool


def rows(models: str | Path, in_use: str) -> list[Row]:
    """The presets in their order, then the models with another name."""
    listed = [_of_preset(models, preset, in_use) for preset in PRESETS]
    for name in card.names(models):
        if name not in BY_NAME and (known := card.load(models, name)):
            listed.append(_of_card(known, in_use))
    return listed


def as_maps(listed: Iterable[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in listed]


def as_text(listed: Iterable[Row]) -> str:
    """A table for people; the model in use has a star."""
    table = [("", "NAME", "WEIGHTS", "DIM", "STATE", "LICENCE", "FOR")]
    for row in listed:
        weights = f"{row.architecture}/{row.tag}" if row.tag else row.architecture
        star = "*" if row.in_use else " "
        table.append(
            (star, row.name, weights, str(row.dim), row.state, row.licence or "", row.purpose)
        )
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
    return "\n".join(lines) + "\n"


def _of_preset(models: str | Path, preset: Preset, in_use: str) -> Row:
    known = card.load(models, preset.name)
    ready = known is not None or _in_cache(models, preset)
    return Row(
        name=preset.name,
        architecture=preset.architecture,
        tag=preset.tag,
        dim=preset.dim,
        licence=preset.licence,
        purpose=preset.purpose,
        state="ready" if ready else "missing",
        in_use=preset.name == in_use,
    )


def _of_card(known: card.Card, in_use: str) -> Row:
    return Row(
        name=known.name,
        architecture=known.architecture,
        tag=known.tag,
        dim=known.dim,
        licence=None,
        purpose="added" if known.tag is None else "",
        state="ready",
        in_use=known.name == in_use,
    )


def _in_cache(models: str | Path, preset: Preset) -> bool:
    from imgqd.models.hub import Hub
    from imgqd.models.presets import WEIGHTS_FILE

    if preset.repository is None:
        return False
    return Hub(Path(models) / "hub").cached(preset.repository, WEIGHTS_FILE) is not None
