"""Which files came to show a picture, in the order of their coming: a file that moves does not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgqd.store.part import fit

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from imgqd.records import Stamp

COARSEST_NS = 2_000_000_000  # a FAT keeps times to two seconds, and cuts off the rest
# a file that goes from name to name may have yet another when its folder is looked at
ON_ITS_WAY_NS = 3_000_000_000

# The file was there before it was noticed that the other is gone, and nobody has written to it since: by
# another name on its own file system, or copied with its time to another one.
WENT = f"""
DELETE FROM departures WHERE rowid = (
    SELECT rowid FROM departures WHERE picture = :picture AND iif(device = :device,
        inode = :inode AND mtime_ns >= :mtime_ns AND noticed + {ON_ITS_WAY_NS} >= :ctime_ns,
        mtime_ns - :mtime_ns BETWEEN 0 AND {COARSEST_NS - 1} AND noticed >= :ctime_ns)
    ORDER BY inode = :inode DESC LIMIT 1
) RETURNING arrived
"""
DEPART = """
INSERT INTO departures(picture, mtime_ns, inode, device, arrived, noticed)
VALUES (?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Departure:
    """A file that shows its picture no more; arrived: its number."""

    picture: int
    mtime_ns: int | str
    inode: int | str
    device: int | str
    arrived: int | None


class Arrivals:
    """Of one transaction. last: the latest number that it gave, None while it gave none. now: seconds
    since the epoch."""

    def __init__(self, connection: apsw.Connection, now: float) -> None:
        self.last: int | None = None
        self._connection = connection
        self._now_ns = int(now * 1e9)

    def depart(self, files: Iterable[Departure]) -> None:
        self._connection.executemany(
            DEPART,
            [
                (each.picture, each.mtime_ns, each.inode, each.device, each.arrived, self._now_ns)
                for each in files
            ],
        )

    def number(self, picture: int, stamp: Stamp) -> int | None:
        """That of a file that comes to show the picture: the next, or what it had where it was before."""
        where = {
            "picture": picture,
            "mtime_ns": fit(stamp.mtime_ns),
            "ctime_ns": fit(stamp.ctime_ns),
            "inode": fit(stamp.inode),
            "device": fit(stamp.device),
        }
        found: list[Any] = self._connection.execute(WENT, where).fetchall()
        if found:
            before: int | None = found[0][0]
            return before
        if self.last is None:
            self.last = int(self._connection.execute("SELECT last FROM arrivals").get)
        self.last += 1
        return self.last

    def settle(self) -> None:
        if self.last is not None:
            self._connection.execute("UPDATE arrivals SET last = ?", (self.last,))
