"""The store: everything the daemon keeps on disk, behind one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgqd.store.commit import Commits
from imgqd.store.counting import Counting
from imgqd.store.database import Database
from imgqd.store.files import Files
from imgqd.store.folders import Folders
from imgqd.store.listings import Listings
from imgqd.store.pictures import Pictures
from imgqd.store.roots import Roots

if TYPE_CHECKING:
    from pathlib import Path


class Store(Roots, Folders, Files, Commits, Pictures, Listings, Counting):
    """The index on disk. Every method may be called from any thread; those that change something
    wait for each other, those that read wait for nobody.

    All raise StoreError: StoreDamaged where the file is not sound, StoreFull where the disk is
    full, StoreBusy where another process holds it for longer than five seconds. After one nothing
    of the call has taken effect, and the store can be used again.
    """

    @classmethod
    def open(cls, path: Path, decoder: str, *, immutable: bool = False) -> Store:
        """Opens the index, or makes it, private to its owner, and brings an older one to this form.

        decoder: the version of the decoders; failures of another are tried again. immutable: for
        reading alone, where not even a log can be written. Raises StoreNewer where a newer imgq
        wrote the index, StoreDamaged where it is none or not sound (see `set_aside`).
        """
        return cls(Database(path, immutable=immutable), decoder)

    def size(self) -> int:
        """Bytes on disk."""
        return self._database.size()

    def check_file(self) -> None:
        """Raises StoreDamaged where the file was deleted or replaced; look now and then, for writes
        to a deleted file succeed in silence."""
        self._database.check_file()

    def maintain(self) -> None:
        """Gives what nothing uses back to the file system; for an idle hour."""
        while self._model is not None and self.compact():
            pass
        self._database.shrink()

    def close(self) -> None:
        self._database.close()
