"""A picture's notes as columns."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from imgqd.records import Notes
from imgqd.store.part import text

NAMES = tuple(field.name for field in fields(Notes))
COLUMNS = ", ".join(NAMES)


def columns(notes: Notes) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    return tuple(_column(getattr(notes, name)) for name in NAMES)


def notes(columns: tuple[Any, ...]) -> Notes:
    """Notes of the values of COLUMNS."""
    values = dict(zip(NAMES, columns, strict=True))
    values["keywords"] = tuple((values["keywords"] or "").splitlines())
    return Notes(**values)


def _column(value: Any) -> Any:
    if isinstance(value, tuple):
        return text("\n".join(value)) or None
    return text(value) if isinstance(value, str) else value
