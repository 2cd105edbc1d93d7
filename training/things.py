"""What the model learns to name: the things of emojibase, with their names and keywords."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from training.packages import EMOJIBASE, fetch

GROUPS = (
    "smileys", "people", "component", "animals", "food",
    "travel", "activities", "objects", "symbols", "flags",
)  # fmt: skip

# Turned round, these would be something else: arrows, letters, flags, clock faces.
ONE_SIDED = ("flags", "symbols")


@dataclass(frozen=True)
class Thing:
    """One thing to be known: `label` is emojibase's own, `name` is how people say it."""

    code: str
    label: str
    name: str
    keywords: frozenset[str]
    group: str

    @property
    def slug(self) -> str:
        """The label as file names have it: "cow-face"."""
        plain = unicodedata.normalize("NFKD", self.label).encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", plain.replace("&", "and")).strip("-")


def read_things() -> list[Thing]:
    """All things, in Unicode's order. Skin tones and single letters are parts, not things."""
    found = fetch(EMOJIBASE) / "package/en/data.json"
    entries = json.loads(found.read_text(encoding="utf-8"))
    kept = [entry for entry in entries if entry.get("group") not in (None, 2)]
    return [_thing(entry) for entry in sorted(kept, key=lambda entry: entry["order"])]


def _thing(entry: dict[str, Any]) -> Thing:
    label = entry["label"]
    name = spoken(label)
    words = {word for word in re.findall(r"[a-z]+", name) if len(word) > 2 and word not in _EMPTY}
    tags = {tag.lower() for tag in entry.get("tags", ())}
    return Thing(entry["hexcode"], label, name, frozenset(words | tags), GROUPS[entry["group"]])


def spoken(label: str) -> str:
    """The label as it is said: "flag: Chad" is "flag of chad", "kiss: man, man" loses its marks."""
    label = label.lower().replace("flag: ", "flag of ")
    return re.sub(r"\s+", " ", re.sub(r"[:,“”]", " ", label)).strip()


_EMPTY = frozenset({"with", "and", "the", "for", "not", "face", "button", "flag", "person", "open"})
