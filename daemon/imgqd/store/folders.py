"""Folders as ranges of paths: under a folder is what begins with its path and a slash, so /a/b is
not over /a/bc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgqd.store.part import Part

if TYPE_CHECKING:
    import apsw

# the folder itself, and every folder under it: to be bound with `under`
UNDER = "(folders.path = :folder OR folders.path >= :low AND folders.path < :high)"


def prefix(folder: bytes) -> bytes:
    return folder if folder.endswith(b"/") else folder + b"/"


def under(folder: bytes) -> dict[str, bytes]:
    """Bindings of UNDER. "0" is the byte after "/"."""
    low = prefix(folder)
    return {"folder": folder, "low": low, "high": low[:-1] + b"0"}


def is_under(path: bytes, folder: bytes) -> bool:
    """Whether the path is the folder, or under it."""
    return path == folder or path.startswith(prefix(folder))


def join(folder: bytes, name: bytes) -> bytes:
    return prefix(folder) + name


class Folders(Part):
    def folders_under(self, folder: bytes) -> list[bytes]:
        """Every known folder, of any depth, under this one, and this one where it is known;
        sorted."""
        with self._database.read() as connection:
            found = connection.execute(
                f"SELECT path FROM folders WHERE {UNDER} ORDER BY path", under(folder)
            )
            return [path for (path,) in found]

    def child_folders(self, folder: bytes) -> list[bytes]:
        """Names directly below the folder that hold known files, or folders that do; sorted."""
        bounds = under(folder)
        names: set[bytes] = set()
        low = bounds["low"] + b"\0"  # past / itself, which ends as its prefix does
        with self._database.read() as connection:
            while (path := _first(connection, low, bounds["high"])) is not None:
                name, deeper, _ = path[len(bounds["low"]) :].partition(b"/")
                names.add(name)
                # a-b sorts between a and a/c: skip what is under a folder, not what is after it
                low = bounds["low"] + name + b"0" if deeper else path + b"\0"
        return sorted(names)


def _first(connection: apsw.Connection, low: bytes, high: bytes) -> bytes | None:
    found: bytes | None = connection.execute(
        "SELECT path FROM folders WHERE path >= ? AND path < ? ORDER BY path LIMIT 1", (low, high)
    ).get
    return found
