"""Version 5: what has left which file, so that it is known again where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

# A file by its last stamp, with what it showed and since when; noticed: in nanoseconds since the epoch
FIFTH = """
CREATE TABLE departures(
    picture INTEGER NOT NULL REFERENCES pictures ON DELETE CASCADE,
    mtime_ns NOT NULL,
    inode NOT NULL,
    device NOT NULL,
    arrived INTEGER,
    noticed INTEGER NOT NULL
);
CREATE INDEX departures_picture ON departures(picture);
"""


def migrate(connection: apsw.Connection) -> None:
    connection.execute(FIFTH).fetchall()
