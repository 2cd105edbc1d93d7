"""The index on disk: the only SQL, and the only SQLite, of the project."""

from imgqd.store.database import set_aside
from imgqd.store.files import Listed
from imgqd.store.records import (
    Added,
    Block,
    Committed,
    Counts,
    Exported,
    FailedFile,
    FileInfo,
    FileState,
    Identity,
    LedgerEntry,
    Model,
    Picture,
    Root,
    RootState,
    Row,
    Shown,
    Tally,
)
from imgqd.store.store import Store

__all__ = [
    "Added",
    "Block",
    "Committed",
    "Counts",
    "Exported",
    "FailedFile",
    "FileInfo",
    "FileState",
    "Identity",
    "LedgerEntry",
    "Listed",
    "Model",
    "Picture",
    "Root",
    "RootState",
    "Row",
    "Shown",
    "Store",
    "Tally",
    "set_aside",
]
