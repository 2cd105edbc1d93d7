"""What `imgq model list` shows: the presets, the models that were added, and what each is held for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgqd.models import card, speeds
from imgqd.models.presets import BY_NAME, PRESETS, WEIGHTS_FILE, Preset


@dataclass(frozen=True, slots=True)
class Held:
    """What models are held for, by their names: "used", "coming" or "kept". done, of: how many of all
    pictures have a vector of the one that is coming."""

    roles: Mapping[str, str]
    done: int | None = None
    of: int | None = None

    @classmethod
    def settings(cls, name: str) -> Held:
        """Where no daemon tells."""
        return cls({name: "used"})

    @classmethod
    def told(cls, words: str) -> Held:
        """By a daemon's status: its models and its change, as JSON."""
        status = json.loads(words)
        roles = {each["name"]: each["role"] for each in status["models"]}
        change = status["change"] or {}
        return cls(roles, change.get("done"), change.get("of"))

    def fields(self, name: str) -> dict[str, Any]:
        """Those of a row."""
        role = self.roles.get(name)
        found: dict[str, Any] = {"in_use": role == "used", "role": role}
        return found | ({"done": self.done, "of": self.of} if role == "coming" else {})


@dataclass(frozen=True, slots=True)
class Row:
    """state: "ready" where nothing has to be fetched, else "missing". bytes: of the weights, about
    that while they are missing. accuracy, published, languages: as of a preset, null where nobody has said.
    pictures_per_s: the most that was seen on this machine. role: what the index holds it for; done, of:
    see `Held`."""

    name: str
    architecture: str
    tag: str | None
    dim: int
    licence: str | None
    languages: str | None
    purpose: str
    state: str
    bytes: int | None
    accuracy: float | None
    published: str | None
    pictures_per_s: float | None
    in_use: bool
    role: str | None
    done: int | None = None
    of: int | None = None


def rows(models: str | Path, held: Held) -> list[Row]:
    """The presets in their order, then the models with another name."""
    listed = [_of_preset(models, preset, held) for preset in PRESETS]
    for name in card.names(models):
        if name not in BY_NAME and (known := card.load(models, name)):
            listed.append(_of_card(models, known, held))
    return listed


def as_maps(listed: Iterable[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in listed]


def as_text(listed: Iterable[Row]) -> str:
    """A table for people; the model in use has a star."""
    head = ("", "NAME", "DIM", "SIZE", "STATE", "LICENCE", "LANGUAGES", "ACCURACY", "SPEED", "FOR")
    table: list[tuple[str, ...]] = [head]
    sources: list[str] = []
    for row in listed:
        table.append(_cells(row))
        if row.published and row.published not in sources:
            sources.append(row.published)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    lines += [
        "",
        "accuracy: ImageNet, zero-shot, top 1, as published in",
        *map("  ".__add__, sources),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    state = row.role if row.role not in (None, "used") else row.state
    if row.role == "coming" and row.of is not None:
        state = f"coming, {row.done} of {row.of}"
    return (
        "*" if row.in_use else " ",
        row.name,
        str(row.dim),
        _in_megabytes(row),
        state or "",
        row.licence or "",
        row.languages or "",
        f"{row.accuracy:.1%}" if row.accuracy else "",
        f"{row.pictures_per_s:.3g}/s" if row.pictures_per_s else "",
        row.purpose,
    )


def _in_megabytes(row: Row) -> str:
    about = "" if row.state == "ready" else "~"
    return f"{about}{row.bytes / 1e6:.0f} MB" if row.bytes else ""


def _of_preset(models: str | Path, preset: Preset, held: Held) -> Row:
    known = card.load(models, preset.name)
    weights = known.weights if known else _in_cache(models, preset)
    return Row(
        name=preset.name,
        architecture=preset.architecture,
        tag=preset.tag,
        dim=preset.dim,
        licence=preset.licence,
        languages=preset.languages,
        purpose=preset.purpose,
        state="ready" if weights else "missing",
        bytes=_size(weights) if weights else _published_size(preset),
        accuracy=preset.accuracy,
        published=preset.published,
        pictures_per_s=speeds.read(models).get(known.identity) if known else None,
        **held.fields(preset.name),
    )


def _of_card(models: str | Path, known: card.Card, held: Held) -> Row:
    return Row(
        name=known.name,
        architecture=known.architecture,
        tag=known.tag,
        dim=known.dim,
        licence=None,
        languages=None,
        purpose="added" if known.tag is None else "",
        state="ready",
        bytes=_size(known.weights),
        accuracy=None,
        published=None,
        pictures_per_s=speeds.read(models).get(known.identity),
        **held.fields(known.name),
    )


def _size(file: str | Path) -> int | None:
    with suppress(OSError):
        return os.stat(file).st_size
    return None


def _published_size(preset: Preset) -> int | None:
    """In bytes, of float32, without the header's few."""
    return preset.parameters and preset.parameters * 4


def _in_cache(models: str | Path, preset: Preset) -> Path | None:
    from imgqd.models.hub import Hub

    if preset.repository is None:
        return None
    return Hub(Path(models) / "hub").cached(preset.repository, WEIGHTS_FILE)
