"""What each part of the store stands on, and how values become columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgq.errors import StoreError

if TYPE_CHECKING:
    from imgqd.store.database.database import Database
    from imgqd.store.records import Held, Model


class Part:
    """A group of the store's methods, over one database. decoder: the version that failures are
    of."""

    def __init__(self, database: Database, decoder: str) -> None:
        self._database = database
        self._model: Model | None = None
        self._held: tuple[Held, ...] = ()  # as last read or written
        self.decoder = decoder

    @property
    def has_model(self) -> bool:
        return self._model is not None

    @property
    def model(self) -> Model:
        """The model in use; raises StoreError before the first `use_model`."""
        if self._model is None:
            raise StoreError("the index was asked for embeddings before it was told the model")
        return self._model

    @property
    def _model_id(self) -> int | None:
        return self._model.id if self._model else None


def fit(number: int) -> int | str:
    """A number of the system for a column without a type: inodes have 64 bits, times on some file
    systems more than SQLite's 63. Read it back with int()."""
    return number if -(1 << 63) <= number < 1 << 63 else str(number)


def text(value: str | None) -> str | None:
    """What of a picture's or the system's words UTF-8 can hold."""
    return None if value is None else value.encode("utf-8", "replace").decode()
