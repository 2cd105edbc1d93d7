"""The index on disk: the only SQL, and the only SQLite, of the project."""

from imgqd.store.files import Listed
from imgqd.store.records import (
    Added,
    Block,
    Committed,
    Counts,
    Exported,
    FailedFile,
    Fault,
    FileInfo,
    FileState,
    Identity,
    LedgerEntry,
    Model,
    Picture,
    Renewed,
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
    "Fault",
    "FileInfo",
    "FileState",
    "Identity",
    "LedgerEntry",
    "Listed",
    "Model",
    "Picture",
    "Renewed",
    "Root",
    "RootState",
    "Row",
    "Shown",
    "Store",
    "Tally",
]
