"""Version 3: all that is written of a picture, and a hash of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

# noted: which version of `pictures.metadata` read it; the older are read again. pixels: a hash of the
# upright pixels
THIRD = """
ALTER TABLE pictures ADD COLUMN taken_from TEXT;
ALTER TABLE pictures ADD COLUMN title TEXT;
ALTER TABLE pictures ADD COLUMN description TEXT;
ALTER TABLE pictures ADD COLUMN keywords TEXT;
ALTER TABLE pictures ADD COLUMN rating INTEGER;
ALTER TABLE pictures ADD COLUMN exposure_time REAL;
ALTER TABLE pictures ADD COLUMN f_number REAL;
ALTER TABLE pictures ADD COLUMN iso INTEGER;
ALTER TABLE pictures ADD COLUMN focal_length REAL;
ALTER TABLE pictures ADD COLUMN orientation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE pictures ADD COLUMN pixels BLOB;
ALTER TABLE pictures ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
UPDATE pictures SET taken_from = 'exif' WHERE taken_at IS NOT NULL;

CREATE INDEX pictures_noted ON pictures(noted);
CREATE INDEX pictures_pixels ON pictures(pixels) WHERE pixels IS NOT NULL;
"""


def migrate(connection: apsw.Connection) -> None:
    for _ in connection.execute(THIRD):
        pass
