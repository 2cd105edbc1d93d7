"""The vectors in memory, by model: those of the one in use, and those of others that are held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from imgqd.search.resident import Resident
    from imgqd.store.records import Beside, Model


@dataclass(frozen=True, slots=True)
class Residents:
    """As they are at one moment: whoever asks for a model's sees no other's, whatever is exchanged
    meanwhile. model: the one in use, None until that is known."""

    used: Resident
    model: Model | None = None
    others: Mapping[int, tuple[Model, Resident]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Resident]:
        yield self.used
        yield from (resident for _, resident in self.others.values())

    def of(self, model: Model) -> Resident | None:
        """None where a model's are not in memory."""
        if self.model is not None and model.id == self.model.id:
            return self.used
        found = self.others.get(model.id)
        return found[1] if found else None

    def beside(self) -> list[tuple[Model, Resident]]:
        return list(self.others.values())

    def with_other(self, model: Model, resident: Resident) -> Residents:
        return replace(self, others={**self.others, model.id: (model, resident)})

    def without(self, model: Model) -> Residents:
        return replace(
            self, others={id: each for id, each in self.others.items() if id != model.id}
        )

    def exchanged(self, model: Model, resident: Resident) -> Residents:
        """With that one in use; the one before is still there."""
        others = self.without(model)
        if self.model is not None:
            others = others.with_other(self.model, self.used)
        return replace(others, used=resident, model=model)

    def add(self, embedded: Iterable[Beside]) -> None:
        """Pictures that were embedded by other models than the one in use."""
        new = list(embedded)
        for model, resident in self.beside() if new else ():
            put(resident, {each.picture: each.vector for each in new if each.model == model.id})


def put(resident: Resident, vectors: Mapping[int, np.ndarray]) -> None:
    """Makes pictures findable, by number: float32 (dim,), unit norm."""
    if vectors:
        resident.add(np.array(list(vectors), np.int64), np.stack(list(vectors.values())))
