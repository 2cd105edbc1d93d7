"""The roots a second time, in a file beside the index: no damage to the index loses them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from imgqd.private_file import opener
from imgqd.store.database.faults import translated
from imgqd.store.records import Identity, Root

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".roots"
UNFINISHED = ".roots.new"


@dataclass(frozen=True, slots=True)
class Kept:
    """origin: of the index whose roots they are."""

    origin: bytes
    roots: tuple[Root, ...]


def read(index: Path) -> Kept | None:
    """What lies beside that index; None where there is nothing, or no sense in it."""
    with translated(index), suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        told = json.loads(_beside(index, SUFFIX).read_bytes())
        return Kept(bytes.fromhex(told["origin"]), tuple(map(_root, told["roots"])))
    return None


def write(index: Path, kept: Kept) -> None:
    told = {"origin": kept.origin.hex(), "roots": [_told(root) for root in kept.roots]}
    with translated(index), open(_beside(index, UNFINISHED), "w", opener=opener) as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
        os.replace(file.name, _beside(index, SUFFIX))


def _beside(index: Path, suffix: str) -> Path:
    return index.with_name(index.name + suffix)


def _told(root: Root) -> dict[str, Any]:
    # JSON's text holds any bytes this way
    return asdict(root) | {"path": root.path.decode(errors="surrogateescape")}


def _root(told: dict[str, Any]) -> Root:
    path = told["path"].encode(errors="surrogateescape")
    return Root(**(told | {"path": path, "identity": Identity(**told["identity"])}))
