"""The store: everything the daemon keeps on disk, behind one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgqd.store.commits.commit import Commits
from imgqd.store.copies import Copies
from imgqd.store.counting import Counting
from imgqd.store.database import place
from imgqd.store.database.database import Database
from imgqd.store.database.faults import translated
from imgqd.store.database.opening import is_checked_later
from imgqd.store.files import Files
from imgqd.store.folders import Folders
from imgqd.store.lookup.filtering import Filters
from imgqd.store.pictures import Pictures
from imgqd.store.repair.checking import Checking
from imgqd.store.repair.renewal import Renewal, rebuild, refuse_lost

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from imgqd.store.records import Renewed


class Store(Renewal, Checking, Folders, Files, Commits, Pictures, Filters, Copies, Counting):
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
        wrote the index, StoreDamaged where it is not sound, is another program's or another index
        than was here, or was deleted (see `open_anew`).
        """
        path = place.true_path(path)
        refuse_lost(path)
        if not immutable:
            with translated(path):
                place.remove(place.unfinished(path))
        store = cls(Database(path, immutable=immutable), decoder)
        try:
            store._agree()
            store._complete()
        except BaseException:
            store._database.close_untouched()
            raise
        return store

    @classmethod
    def open_anew(cls, path: Path, decoder: str) -> tuple[Store, Renewed]:
        """Opens a new index where `open` found a damaged one, which is set aside: with its roots,
        and every picture whose vector is surely its own."""
        renewed = rebuild(path)
        return cls.open(path, decoder), renewed

    @property
    def path(self) -> Path:
        """Where the database lies."""
        return self._database.path

    @property
    def origin(self) -> bytes:
        """What tells this index, and so the numbers of its arrivals, from every other."""
        return self._database.origin

    @property
    def damage(self) -> threading.Event:
        """Set whenever a call raised StoreDamaged; `repair` or `renew` makes an end of it."""
        return self._database.damage

    @property
    def is_immutable(self) -> bool:
        return self._database.is_immutable

    def make_writable(self) -> None:
        """Goes on as if opened without `immutable`. Raises StoreFull while the disk is still full;
        the index answers as before then."""
        self._database.make_writable()
        with self._database.guarded():
            self._agree()
            self._complete()

    def size(self) -> int:
        """Bytes on disk."""
        return self._database.size()

    def check_pages(self) -> None:
        """Raises StoreDamaged where the pages of a large file are not sound, which opening it has not
        looked at. Reads all of it."""
        if is_checked_later(self.path):
            self._database.check_pages()

    def check_file(self) -> None:
        """Raises StoreDamaged where the file or its log was deleted, replaced, cut or overwritten;
        look now and then, for writes to a deleted file succeed in silence."""
        self._database.check_file()

    def maintain(self) -> None:
        """Gives what nothing uses back to the file system; for an idle hour."""
        while self._model is not None and self.compact():
            pass
        self._database.shrink()

    def give_back(self) -> None:
        """Gives the pages that nothing uses back to the file system, a few at a time."""
        self._database.shrink()

    def free_memory(self) -> None:
        """Keeps nothing in memory that can be read again."""
        self._database.free_memory()

    def close(self) -> None:
        self._database.close()
