"""What the embedder's process needs of an image tower. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from imgqd.manners import priority
from imgqd.models.card import Card


class OutOfMemory(Exception):
    """The batch does not fit into memory; a smaller one may."""


class CannotLoad(Exception):
    """The tower cannot be had as it was asked for; the reason is for a person."""


class Tower(Protocol):
    """An image tower on its device.

    batch: how many pictures it would take in two passes. engine: the library that computes. trouble: why
    that is not the fastest that could be, for a person.
    """

    @property
    def dim(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def batch(self) -> int: ...
    @property
    def engine(self) -> str: ...
    @property
    def trouble(self) -> str | None: ...

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, height, width, 3), RGB, to float32 (n, dim), unit norm. Raises OutOfMemory."""
        ...


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the process is told first.

    device: auto, cpu, cuda or mps. precision: auto, f32, bf16 or fp16. batch: pictures in two forward
    passes, threads: of a CPU; both are found where they are None. nice: added to the daemon's own.
    engines: the folder that remembers which engine is the fastest; None where that is not to be found out.
    """

    card: Card
    device: str = "auto"
    precision: str = "auto"
    batch: int | None = None
    threads: int | None = None
    nice: int = priority.NICE
    engines: str | None = None

    def as_map(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Configuration:
        return cls(**{**values, "card": Card.from_map(values["card"])})


@dataclass(frozen=True, slots=True)
class Ready:
    """What is really used, once the tower is loaded."""

    device: str
    precision: str
    batch: int
    engine: str = "torch"
    trouble: str | None = None


OpenTower = Callable[[Configuration], Tower]
