"""The watched folders. A folder belongs to the deepest root over it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from imgq.errors import StoreError
from imgqd.store.commits.writing import Writing
from imgqd.store.folders import UNDER, is_under, under
from imgqd.store.lookup import names
from imgqd.store.part import Part, fit
from imgqd.store.records import Identity, Root, RootState
from imgqd.store.repair import kept
from imgqd.store.repair.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import apsw

SELECT = "SELECT id, path, device, inode, fsid, kind, state, had_entries, mount FROM roots"


class Roots(Part):
    # what lies beside the index; None until it is first read or written
    _kept: Kept | None = None

    def roots(self) -> list[Root]:
        """Every root, and every mount below one, sorted by path."""
        with self._database.read() as connection:
            return read_roots(connection)

    @contextmanager
    def _changed(self, *, whole: bool = True) -> Iterator[apsw.Connection]:
        """A transaction that may change roots. Those beside the index are changed before it is
        committed: whatever is between the two, a root that is in the one or the other is a root."""
        before = self._kept
        with self._database.lock:
            try:
                with self._database.write(whole=whole) as connection:
                    there = _paths(connection)
                    yield connection
                    if there != _paths(connection):
                        names.derive(connection)
                    self._keep(Kept(self._database.origin, tuple(read_roots(connection))))
            except BaseException:
                if before != self._kept and before is not None:
                    with suppress(StoreError):
                        self._keep(before)
                raise

    def _keep(self, now: Kept) -> None:
        if kept.read(self._database.path) != now:
            kept.write(self._database.path, now)
        self._kept = now

    def _restore(self, connection: apsw.Connection) -> None:
        """Puts the roots back that are beside the index, and no longer in it."""
        there = {root.path for root in read_roots(connection)}
        for root in self._kept.roots if self._kept else ():
            if root.path not in there:
                _insert(connection, root)

    def add_root(self, path: bytes, identity: Identity, *, mount: bool = False) -> Root:
        """Adds the root, or finds it; what is known under it is its own from now on. A mount that
        is added as a root becomes one."""
        with self._changed() as connection:
            over = _over(connection, path)
            if over is None or over[1] != path:
                _insert(connection, Root(path, identity, mount=mount))
            elif not mount:
                connection.execute("UPDATE roots SET mount = 0 WHERE path = ?", (path,))
            return _root(_row(connection, path))

    def remove_root(self, path: bytes, now: float) -> list[int]:
        """Removes a root: what it holds goes to the next root over it, and is forgotten where there
        is none, with the mounts below. Returns the pictures that no file shows any more; raises
        StoreError where there is no such root."""
        with self._changed() as connection:
            ids = [_row(connection, path)[0]]
            writing = Writing(connection, self._model_id, now)
            outer = _over(connection, path, but=path)
            if outer is not None:
                connection.execute("UPDATE folders SET root = ? WHERE root = ?", (outer[0], *ids))
            else:
                ids += _mounts(connection, path)
            for id in ids:
                writing.forget_root(id)
                connection.execute("DELETE FROM roots WHERE id = ?", (id,))
            return writing.finish().hidden

    def set_root(
        self,
        path: bytes,
        *,
        state: RootState | None = None,
        identity: Identity | None = None,
        had_entries: bool | None = None,
    ) -> Root:
        """Changes what is given. With another device in its identity, the stamps of its files
        follow: a disk that comes back under another number is the same disk. Raises StoreError
        where there is no such root."""
        with self._changed() as connection:
            id, device = _row(connection, path)[0:3:2]
            if identity is not None:
                connection.execute(
                    "UPDATE roots SET device = ?, inode = ?, fsid = ?, kind = ? WHERE id = ?",
                    (*_columns(identity), id),
                )
                if identity.device != int(device):
                    connection.execute(
                        "UPDATE files SET device = ? WHERE device = ?"
                        " AND folder IN (SELECT id FROM folders WHERE root = ?)",
                        (fit(identity.device), device, id),
                    )
            connection.execute(
                "UPDATE roots SET state = coalesce(?, state),"
                " had_entries = coalesce(?, had_entries) WHERE id = ?",
                (state, had_entries, id),
            )
            return _root(_row(connection, path))


def _paths(connection: apsw.Connection) -> set[bytes]:
    return {root.path for root in read_roots(connection)}


def read_roots(connection: apsw.Connection) -> list[Root]:
    """Sorted by path."""
    return [_root(row) for row in connection.execute(f"{SELECT} ORDER BY path")]


def put_roots(connection: apsw.Connection, roots: Iterable[Root]) -> None:
    """Records new roots, as they are."""
    connection.executemany(
        "INSERT INTO roots(path, device, inode, fsid, kind, state, had_entries, mount)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (root.path, *_columns(root.identity), root.state, root.had_entries, root.mount)
            for root in roots
        ],
    )


def _root(row: tuple[Any, ...]) -> Root:
    _, path, device, inode, fsid, kind, state, had_entries, mount = row
    identity = Identity(int(device), int(inode), fsid, kind)
    return Root(path, identity, state, bool(had_entries), bool(mount))


def _columns(identity: Identity) -> tuple[int | str, ...]:
    """device, inode, fsid, kind."""
    return fit(identity.device), fit(identity.inode), identity.fsid, identity.kind


def _row(connection: apsw.Connection, path: bytes) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(f"{SELECT} WHERE path = ?", (path,)).get
    if row is None:
        raise StoreError(f"{path.decode(errors='replace')} is not a watched folder")
    return row


def _over(
    connection: apsw.Connection, path: bytes, *, but: bytes | None = None
) -> tuple[int, bytes] | None:
    """The deepest root over the path (id and path), itself among them."""
    rows = connection.execute("SELECT id, path FROM roots WHERE path IS NOT ?", (but,))
    over = [(id, root) for id, root in rows if is_under(path, root)]
    return max(over, key=lambda row: len(row[1]), default=None)


def _insert(connection: apsw.Connection, root: Root) -> None:
    """Deeper roots keep what is their own."""
    outer = _over(connection, root.path)
    put_roots(connection, [root])
    if outer is not None:
        connection.execute(
            "UPDATE folders SET root = (SELECT id FROM roots WHERE path = :folder)"
            f" WHERE root = :outer AND {UNDER}",
            {"outer": outer[0], **under(root.path)},
        )


def _mounts(connection: apsw.Connection, path: bytes) -> list[int]:
    """Mounts below the root that no other root is over."""
    rows: list[Any] = connection.execute("SELECT id, path, mount FROM roots").fetchall()
    kept = [root for _, root, mount in rows if not mount and root != path]
    return [
        id
        for id, root, mount in rows
        if mount and is_under(root, path) and not any(is_under(root, other) for other in kept)
    ]
